"""The collector: receive -> validate -> journal -> acknowledge -> ship, and nothing acknowledged is ever lost.

`service` puts the line together; `ingest` checks and numbers, `accounting` knows who has said what, `journal` keeps,
`shipping` brings it to the `stores`; `report` says how that is going.
"""
