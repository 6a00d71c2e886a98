"""What every test may rely on."""

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and whatever they start would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _usual_umask():
    """A command that keeps what it writes private, called within the tests, would do so for all tests after it."""
    os.umask(0o022)
    yield
    os.umask(0o022)
