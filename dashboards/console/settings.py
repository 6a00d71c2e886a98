"""What the console is told when it starts, checked before anything opens."""

from dataclasses import dataclass, field
from pathlib import Path

from haina.listen import NotHostPort, host_port
from haina.mqtt import BrokerAddress
from haina.store_url import BadStoreURL, StoreURL, collector_token, is_loopback, is_web_address

MIN_PASSWORD_CHARS = 12  # assumed: long enough against guessing over a network, since nothing here counts tries


class BadSettings(ValueError):
    """A setting cannot be; the message says which, why and what to do."""


@dataclass(frozen=True)
class Settings:
    """Checked settings of a console. `host` and `port` are where it serves."""

    store: StoreURL
    broker: BrokerAddress
    collector: str
    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @classmethod
    def read(
        cls,
        *,
        store: str,
        broker: BrokerAddress,
        collector: str,
        listen: str,
        password: str | None,
        ca_file: Path | None = None,
    ) -> "Settings":
        """Parse and check. Raises BadSettings with one sentence."""
        try:
            store_url = StoreURL.parse(store)
        except BadStoreURL as wrong:
            raise BadSettings(f"--store: {wrong}") from None
        try:
            store_url.token()
            collector_token()
        except BadStoreURL as wrong:
            raise BadSettings(str(wrong)) from None
        if not is_web_address(collector):
            raise BadSettings("--collector must be http://host:port or https://host:port, without user or password")
        try:
            host, port = host_port(listen)
        except NotHostPort as wrong:
            raise BadSettings(f"--listen {wrong}") from None
        password = password or None
        if password is None and not is_loopback(host):
            raise BadSettings(
                f"--listen {listen} can be reached from other machines; "
                "set HAINA_CONSOLE_PASSWORD, or listen on 127.0.0.1"
            )
        if password is not None and len(password) < MIN_PASSWORD_CHARS:
            raise BadSettings(f"the console's password must have {MIN_PASSWORD_CHARS} characters or more")
        return cls(store_url, broker, collector.rstrip("/"), host, port, password, ca_file)
