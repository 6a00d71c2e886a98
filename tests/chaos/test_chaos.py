"""Five seeds of the fault campaign: after the faults stop, all that was sent is stored, once and unaltered."""

import pytest

from tests.brokers import find_mosquitto
from tests.chaos.campaign import run_seeds

SEEDS = (1, 6, 8, 14, 21)
"""8 runs on the embedded broker; 1 and 21 each found a bug when they were first run."""


@pytest.mark.timeout(900)  # some 90 s; a machine that is busy is no failure
def test_whatever_breaks_nothing_is_lost_doubled_or_altered_and_the_line_lives_on() -> None:
    find_mosquitto()
    verdicts = list(run_seeds(SEEDS, jobs=3))
    failed = [str(verdict) for verdict in verdicts if not verdict.clean]
    assert not failed, "\n".join(failed)
