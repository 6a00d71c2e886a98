"""What all rooms share and nothing else: the contract, the query value, the wire, logs, and the `haina` command.

`simulator`, `collector` and `dashboards` import from here and never from each other;
this package imports none of them.
"""

__version__ = "0.1.0"
