"""Where a part listens: ``host:port``, the host of an IPv6 address in brackets, port 0 for any free one."""

_LAST_PORT = 65_535


class NotHostPort(ValueError):
    """The text is not host:port; the message says so and repeats it, but not which option it was given for."""


def host_port(text: str) -> tuple[str, int]:
    """Host, without brackets, and port. Raises NotHostPort."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise NotHostPort(f"must be host:port, such as 127.0.0.1:8080 (got {text[:200]!r})")
    return host, int(port)
