"""A certificate authority of one's own, for a broker that no public one would vouch for: made with `openssl`.

The authority is a key that stays where it was made and a certificate that everybody gets. It signs a certificate for
the broker, in all the names it is dialled by, and one for each part of the line that enters there. A certificate and
its key share one PEM file, so that they can never be of different ages.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from haina.credentials import MOSQUITTO, write_private

AUTHORITY_DAYS: Final = 3_650  # assumed: longer than a deployment lives
CERTIFICATE_DAYS: Final = 397  # what browsers came to accept at most, in 2020
RENEW_DAYS: Final = 30  # assumed: a certificate nearer to its end is made anew

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\Z")


class AuthorityFailed(Exception):
    """Certificates cannot be made; one sentence."""


class Authority:
    """The authority whose key and certificate are, or will be, in `folder`. Raises AuthorityFailed."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise AuthorityFailed("certificates are made with openssl, which is not installed")
        self._key = folder / "authority.key"
        self.certificate: Final = folder / "authority.pem"
        if self._key.exists() and self.certificate.exists():
            return
        with tempfile.TemporaryDirectory(dir=folder) as name:
            extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
            config = _config(Path(name), "Haina authority", extensions)
            key, made = Path(name, "key"), Path(name, "pem")
            _new_key(key)
            arguments = (
                "-x509",
                "-sha256",
                "-days",
                str(AUTHORITY_DAYS),
                "-config",
                config,
                "-extensions",
                "extensions",
            )
            _openssl("req", "-new", *arguments, "-key", key, "-out", made)
            write_private(self._key, key.read_text())
            write_private(self.certificate, made.read_text())

    def issue(self, path: Path, subject: str, usage: Literal["server", "client"], names: Iterable[str] = ()) -> bool:
        """Write certificate and key to `path`, unless the ones there are good for a while; whether it did."""
        wanted = {f"IP:{ip_address(name)}" if _is_ip(name) else f"DNS:{name.lower()}" for name in names}
        if self._is_good(path, wanted):
            return False
        extensions = [
            "basicConstraints=CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage={usage}Auth",
        ]
        if wanted:
            extensions.append(f"subjectAltName={','.join(sorted(wanted))}")
        with tempfile.TemporaryDirectory(dir=path.parent) as name:
            config = _config(Path(name), subject, extensions)
            key, request, made = Path(name, "key"), Path(name, "csr"), Path(name, "pem")
            _new_key(key)
            _openssl("req", "-new", "-sha256", "-config", config, "-key", key, "-out", request)
            signing = (
                "-CA",
                self.certificate,
                "-CAkey",
                self._key,
                "-CAserial",
                Path(name, "serial"),
                "-CAcreateserial",
            )
            extending = ("-days", str(CERTIFICATE_DAYS), "-sha256", "-extfile", config, "-extensions", "extensions")
            _openssl("x509", "-req", "-in", request, *signing, *extending, "-out", made)
            write_private(path, made.read_text() + key.read_text())
        return True

    def _is_good(self, path: Path, wanted: set[str]) -> bool:
        if not path.exists():
            return False
        try:
            _openssl("verify", "-CAfile", self.certificate, path)
            _openssl("x509", "-in", path, "-noout", "-checkend", str(RENEW_DAYS * 86_400))
            _openssl("pkey", "-in", path, "-noout")
            shown = _openssl("x509", "-in", path, "-noout", "-text")
        except AuthorityFailed:
            return False
        has = {f"DNS:{name}" for name in re.findall(r"DNS:([^\s,]+)", shown)}
        has |= {f"IP:{ip_address(address)}" for address in re.findall(r"IP Address:([^\s,]+)", shown)}
        return has == wanted


def certify(folder: Path, parties: Iterable[str], names: Sequence[str]) -> list[str]:
    """Certificates for a broker of these names, and for each party, in their subfolders; answer those made now.

    Every subfolder gets the authority's certificate beside its own, for whom to trust. Raises AuthorityFailed, OSError.
    """
    for name in names:
        if not _is_ip(name) and not _NAME.match(name):
            raise AuthorityFailed(f"--tls {name[:100]!r} is neither a host name nor an IP address")
    authority = Authority(folder)
    trusted = authority.certificate.read_text()
    made = []
    for party in (MOSQUITTO, *(party for party in parties if (folder / party).exists())):
        write_private(folder / party / "ca.pem", trusted)
        path = folder / party / "certificate.pem"
        if party == MOSQUITTO:
            is_new = authority.issue(path, names[0], "server", names)
        else:
            is_new = authority.issue(path, party, "client")
        if is_new:
            made.append(party)
    return made


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _config(folder: Path, subject: str, extensions: Sequence[str]) -> Path:
    """Openssl's own configuration differs from system to system; ours says all there is to say."""
    path = folder / "config"
    lines = ["[req]", "distinguished_name=name", "prompt=no", "[name]", f"CN={subject}", "[extensions]", *extensions]
    path.write_text("\n".join(lines) + "\n")
    return path


def _new_key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise AuthorityFailed(f"openssl {arguments[0]} failed: {reason[:200]}")
    return done.stdout
