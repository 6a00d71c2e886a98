"""The town: SimPy models of places and people, on one clock, publishing what their sensors would say.

Read `town` first (what a site and a device are), then `randomness`, then an application (`centres`, `care`),
then how a run is driven: `run`, `clock`, `gateway`.
"""
