"""Over HTTPS a store's certificate is verified by whoever speaks to it; only the authority one named is trusted."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.stores import open_store
from collector.stores.protocol import StoreUnavailable
from haina.authority import Authority
from haina.query.reader import StoreError, open_reader
from haina.tls import client_context
from tests.stores.points import build_points


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[int]:
    """A server that says nothing sensible, to those who believe that it is who it says."""
    certificate = authority.certificate.parent / "server.pem"
    authority.issue(certificate, "store", "server", ["127.0.0.1"])
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says404)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    served.socket = context.wrap_socket(served.socket, server_side=True)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served.server_address[1]
    served.shutdown()
    served.server_close()


class Says404(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(404)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None: ...


def write(url: str, ca_file: Path | None) -> str:
    store = open_store(url, "token", ca_file)
    with pytest.raises(StoreUnavailable) as failed:
        store.write("journal", 1, build_points(1))
    store.close()
    return str(failed.value)


def ask(url: str, ca_file: Path | None) -> str:
    with open_reader(url, "token", ca_file=ca_file) as reader, pytest.raises(StoreError) as failed:
        reader.describe()
    return f"{type(failed.value).__name__}: {failed.value}"


@pytest.mark.parametrize("kind", ["duckdb+https://{host}", "influxdb+https://{host}/town?org=haina"])
@pytest.mark.parametrize("does", [write, ask])
def test_a_store_is_spoken_to_only_when_its_certificate_and_name_are_right(
    server: int, authority: Authority, tmp_path: Path, kind: str, does: Callable[[str, Path | None], str]
) -> None:
    right = kind.format(host=f"127.0.0.1:{server}")
    stranger = Authority(tmp_path).certificate
    assert "404" in does(right, authority.certificate)
    for url, ca_file in (
        (right, None),
        (right, stranger),
        (kind.format(host=f"localhost:{server}"), authority.certificate),  # which is not the name in it
    ):
        assert "404" not in does(url, ca_file)


def test_a_context_verifies_names_and_speaks_nothing_older_than_tls_1_2(authority: Authority) -> None:
    for context in (client_context(), client_context(authority.certificate)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context(authority.certificate).cert_store_stats()["x509"] == 1
