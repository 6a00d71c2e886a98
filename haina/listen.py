"""Where a part listens: ``host:port``, the host of an IPv6 address in brackets, port 0 for any free one."""

import re
from ipaddress import ip_address

_LAST_PORT = 65_535
_LABELS = re.compile(
    r"([\w-]{1,63}\.)*(?!\d+\.?\Z)[\w-]{1,63}\.?"
)  # the last of a name is no number: 10.0.0 is no host


class NotHostPort(ValueError):
    """The text is not host:port; the message says so and repeats it, but not which option it was given for."""


def host_port(text: str) -> tuple[str, int]:
    """Host, without brackets, and port. Raises NotHostPort."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not is_host(host) or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise NotHostPort(f"must be host:port, such as 127.0.0.1:8080 (got {text[:200]!r})")
    return host, int(port)


def is_host(text: str) -> bool:
    """Whether it can be a host's name or IP address; nobody is asked whether there is one."""
    try:
        ip_address(text)
    except ValueError:
        return len(text) <= 253 and _LABELS.fullmatch(text) is not None  # RFC 1035, 2.3.4
    return True


def joined(host: str, port: int) -> str:
    """Host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
