"""TLS as Haina's clients speak it: 1.2 or newer, and never without knowing who is at the other end.

An ``mqtts://`` or ``https://`` address means that the other side shows a certificate for the name that was dialled,
signed by an authority that we trust: the system's, or the one in a CA file, and then that one alone. There is no
setting that turns this off. A client certificate says who we are, to a server that wants to know it that way too.
"""

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path


class BadCertificate(ValueError):
    """A file of certificates or keys cannot be used; one sentence that names it."""


@cache
def client_context(
    ca_file: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """What to trust and what to show, from PEM files; the same object for the same files, however many connections.

    `key` may be left out when `certificate` holds it as well. Raises BadCertificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        _load(f"--ca-file {ca_file}", lambda: context.load_verify_locations(ca_file))
        if not context.cert_store_stats()["x509"]:
            raise BadCertificate(f"--ca-file {ca_file} holds no certificate")
    if certificate is not None:
        files = f"--certificate {certificate}" + (f" with --key {key}" if key else "")
        # A password is given so that OpenSSL does not stop and ask the terminal for one.
        _load(files, lambda: context.load_cert_chain(certificate, key, password=""))
    elif key is not None:
        raise BadCertificate("--key goes with --certificate, which says whose key it is")
    return context


def _load(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise BadCertificate(f"{what} cannot be used: {reason}") from None
    except OSError as error:
        raise BadCertificate(f"{what} cannot be read: {error.strerror}") from None
