"""What the model of senior-care homes can be told."""

from simulator.parameter import Parameters


class CareParameters(Parameters):
    """Parameters of every home of a scenario."""
