"""`python -m haina` is `haina`."""

from haina.command import main

main()
