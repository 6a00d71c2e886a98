"""Who may enter the broker, and what each may say and hear there.

Nobody is anonymous. Each *gateway* has an account of its own, named after its site, ``a01/h0015``; the *collector* and
the *console* have one each. A gateway writes what its own site says and reads what is meant for its site. The
collector hears everything and writes what follows from it. The console hears everything and may ask for something.

Accounts travel in files of lines ``user:password``, readable by their owner alone. A password is 192 random bits, so
no number of guesses finds it; what the broker keeps of it is a salted hash.
"""

import base64
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from haina.contract import CLOCK_TOPIC, TopicClass
from haina.contract.topic import PREFIX
from haina.mqtt import BrokerAddress, InvalidAddress
from haina.mqtt.connection import DEFAULT_MAX_PACKET_BYTES
from haina.tls import BadCertificate, client_context

CLOCK_SITE: Final = "town/simulator"
"""The gateway that publishes the town's clock."""

COLLECTOR: Final = "collector"
CONSOLE: Final = "console"

MOSQUITTO: Final = "mosquitto"
ACCOUNTS: Final = "accounts"
"""A folder of `haina credentials` and a file in it."""

PASSWORD_BYTES: Final = 24

ITERATIONS: Final = 101
"""Of PBKDF2; what mosquitto_passwd does. More would slow every login down and protect only passwords one can guess."""

GATEWAY_SAYS: Final = (TopicClass.TELEMETRY, TopicClass.STATUS, TopicClass.META, TopicClass.REPLY)
GATEWAY_HEARS: Final = (TopicClass.COMMAND, TopicClass.WATERMARK)
COLLECTOR_SAYS: Final = (TopicClass.WATERMARK, TopicClass.ALARM, TopicClass.INDEX, TopicClass.COMMAND)
CONSOLE_SAYS: Final = (TopicClass.COMMAND,)


class BadCredentials(ValueError):
    """An accounts file or what it should hold is wrong; one sentence, without any password."""


def new_password() -> str:
    """192 random bits as hexadecimal digits, which need no quoting in a URL, a file or a shell."""
    return secrets.token_hex(PASSWORD_BYTES)


def mosquitto_passwords(accounts: Mapping[str, str]) -> str:
    """Mosquitto's password file: ``user:$7$iterations$salt$hash``, PBKDF2 with SHA-512 (Mosquitto 2)."""
    return "".join(f"{user}:{_hashed(password)}\n" for user, password in sorted(accounts.items()))


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_rules() -> str:
    """Mosquitto's access rules: one for each class of topic and kind of account, however many sites there are."""
    lines = [
        "# Who may say and hear what; written by `haina credentials`.",
        "# Mosquitto grants any subscription and then delivers only what may be read.",
        f"# Into mosquitto.conf belongs: max_packet_size {DEFAULT_MAX_PACKET_BYTES} (Haina's clients say no more).",
        "",
        "# A gateway's account is named after its site, AREA/SITE; %u stands for that name. Other accounts get nothing",
        "# by these rules, for their names have no slash, and no topic of the contract is so short.",
        *(f"pattern write {PREFIX}/{kind}/%u/+/+" for kind in GATEWAY_SAYS),
        *(f"pattern read {PREFIX}/{kind}/%u/+/+" for kind in GATEWAY_HEARS),
        "",
        "# The clock's gateway has the town's time to tell as well.",
        f"user {CLOCK_SITE}",
        f"topic write {CLOCK_TOPIC}",
    ]
    for user, kinds in ((COLLECTOR, COLLECTOR_SAYS), (CONSOLE, CONSOLE_SAYS)):
        lines += ["", f"user {user}", f"topic read {PREFIX}/#", *(f"topic write {kind.filter}" for kind in kinds)]
    return "\n".join(lines) + "\n"


def may_say(user: str | None, topic: str) -> bool:
    """Whether these rules let an account say something of a site; of one that is not of theirs it is taken to be so.

    Mosquitto may end the session of who says what it may not, and what comes behind is lost.
    """
    kind, area, site = topic.split("/")[2:5]
    if user and "/" in user:
        return user == f"{area}/{site}" and kind in GATEWAY_SAYS
    return kind in {COLLECTOR: COLLECTOR_SAYS, CONSOLE: CONSOLE_SAYS}.get(user or "", (kind,))


def read_accounts(path: Path) -> dict[str, str]:
    """The accounts of a file, user and password. Raises BadCredentials, which names the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadCredentials(f"{path}: not a file of accounts") from None
    accounts: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.strip().partition(":")
        if not colon or not user or not password or user in accounts:
            why = "two accounts have this name" if user in accounts else "an account is user:password"
            raise BadCredentials(f"{path}:{number}: {why}")
        accounts[user] = password
    if not accounts:
        raise BadCredentials(f"{path}: there is no account in it")
    return accounts


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all. Raises OSError."""
    _write_beside(path, text.encode()).replace(path)


def _write_beside(path: Path, data: bytes) -> Path:
    """Write a file that can take the place of the one at `path`. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return fresh


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A draft of a folder of accounts and certificates, to work in; when all went well, the folder becomes like it.

    Else the folder stays as it was. One that is new comes into being whole. In one that is there (which may be volumes,
    and cannot be renamed) files take their places when all are written; a kill between two of those leaves what the
    next call finishes. Raises OSError.
    """
    draft = folder / _DRAFT if folder.exists() else folder.with_name(f"{_DRAFT}-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of a call that was killed
    _private_folder(draft)
    try:
        _copy({draft / path.relative_to(folder): path for names in _HELD for path in folder.glob(names)})
        yield draft
        if folder.exists():
            _copy({folder / path.relative_to(draft): path for path in draft.rglob("*") if path.is_file()})
        else:
            draft.replace(folder)
    except BadCredentials as wrong:
        raise BadCredentials(str(wrong).replace(str(draft), str(folder))) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


_DRAFT: Final = ".haina-draft"
_HELD: Final = ("authority.key", "authority.pem", "*/accounts", "*/certificate.pem")
"""What a folder holds that cannot be made again from the rest."""


def _copy(sources: Mapping[Path, Path]) -> None:
    """Make private copies where they differ, by target; all of them or, where one cannot be written, none."""
    fresh: list[tuple[Path, Path]] = []
    try:
        for path, source in sources.items():
            data = source.read_bytes()
            if not (path.is_file() and path.read_bytes() == data):
                _private_folder(path.parent)
                fresh.append((path, _write_beside(path, data)))
    except OSError:
        for _, written in fresh:
            written.unlink()
        raise
    for path, written in fresh:
        written.replace(path)


def keep_accounts(folder: Path, parties: Mapping[str, Iterable[str]], rotate: Iterable[str] = ()) -> list[str]:
    """See that every user of every party has an account, and tell Mosquitto; answer whose password was made.

    `parties` are names of subfolders, each with the users whose passwords belong in its ``accounts``. Accounts that are
    there keep their passwords, but for those in `rotate`. Mosquitto's two files are written anew each time, so what was
    cut short is mended by the next call; `drafted` lets nothing be cut short. Raises BadCredentials and OSError.
    """
    held = {party: _held(folder / party / ACCOUNTS) for party in parties}
    whose: dict[str, str] = {}
    for party, users in parties.items():
        for user in {*users, *held[party]}:
            if whose.setdefault(user, party) != party:
                raise BadCredentials(f"{user!r} would have two accounts, of {whose[user]} and of {party}")
    if unknown := sorted(set(rotate) - whose.keys()):
        raise BadCredentials(f"there is no account {unknown[0]!r} to rotate")
    made = sorted(user for user, party in whose.items() if user not in held[party] or user in set(rotate))
    for party in parties:
        fresh = {user: new_password() for user in made if whose[user] == party}
        if fresh:
            _private_folder(folder / party)
            held[party] |= fresh
            text = "".join(f"{user}:{password}\n" for user, password in sorted(held[party].items()))
            write_private(folder / party / ACCOUNTS, text)
    everybody = {user: password for accounts in held.values() for user, password in accounts.items()}
    _private_folder(folder / MOSQUITTO)
    write_private(folder / MOSQUITTO / "acl", mosquitto_rules())
    write_private(folder / MOSQUITTO / "passwords", mosquitto_passwords(everybody))
    return made


def _held(path: Path) -> dict[str, str]:
    return read_accounts(path) if path.exists() else {}


def _private_folder(path: Path) -> None:
    """Make a folder for its owner alone; one that is there stays as it is."""
    path.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)


def broker_address(
    url: str,
    accounts: Path | None = None,
    ca_file: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> BrokerAddress:
    """The broker of these settings, to be entered with the one account of the file `accounts`, if any.

    A file with several accounts needs the user's name in the URL. Raises BadCredentials with one sentence.
    """
    address = trusting(url, ca_file, certificate, key)
    if accounts is None:
        return address
    if address.password is not None:
        raise BadCredentials("the broker's URL has a password, and --credentials names another; drop one of them")
    held = read_accounts(accounts)
    if address.username is None and len(held) > 1:
        raise BadCredentials(f"{accounts} holds {len(held)} accounts; say which in the broker's URL: mqtts://user@host")
    user = address.username or next(iter(held))
    if user not in held:
        raise BadCredentials(f"{accounts} holds no account {user!r}")
    return replace(address, username=user, password=held[user])


def trusting(
    url: str, ca_file: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> BrokerAddress:
    """The broker at `url`, if it is the one whose certificate the files vouch for. Raises BadCredentials."""
    try:
        address = BrokerAddress.parse(url)
    except InvalidAddress as error:
        raise BadCredentials(f"--broker: {error}") from None
    try:
        trust = client_context(ca_file, certificate, key)
    except BadCertificate as error:
        raise BadCredentials(str(error)) from None
    if not address.tls and (certificate or key):
        raise BadCredentials("--certificate and --key are for mqtts://; mqtt:// shows nobody a certificate")
    return replace(address, trust=trust)
