"""The panels as Grafana dashboards: rendering them to JSON (`render`) and pushing them to a server (`push`).

The rendered files, `en/*.json` and `zh/*.json`, are kept beside this module for Grafana's own file provisioning.
"""
