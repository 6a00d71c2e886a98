"""What every test may rely on."""

import signal

from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and whatever they start would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)
