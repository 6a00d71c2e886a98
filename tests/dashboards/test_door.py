"""Who may talk to the console, what it refuses to begin with, and that it ends when asked."""

import base64
import socket
import subprocess
import sys

import httpx
import pytest

from dashboards.console.settings import BadSettings, Settings
from haina.mqtt import BrokerAddress
from tests.dashboards.running_console import ROOT, running_console

NOWHERE = (
    "--store",
    "duckdb+http://127.0.0.1:9",
    "--broker",
    "mqtt://127.0.0.1:9",
    "--collector",
    "http://127.0.0.1:9",
)
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with running_console(tmp_path_factory.mktemp("door"), *NOWHERE) as console:
        yield console


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    environment = {"HAINA_CONSOLE_PASSWORD": PASSWORD}
    with running_console(tmp_path_factory.mktemp("guarded"), *NOWHERE, environment=environment) as console:
        yield console


@pytest.fixture(scope="module")
def client():
    with httpx.Client(trust_env=False, timeout=30) as client:
        yield client


def run_console(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "haina", "console", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip


def test_it_serves_although_store_broker_and_collector_are_away(console, client):
    answer = client.get(console.url + "/")
    assert answer.status_code == 200
    assert "Haina" in answer.text


@pytest.mark.parametrize("path", ["/", "/api/sites", "/assets/live.js", "/leaflet/leaflet.css"])
def test_a_request_that_calls_us_by_another_name_is_refused(console, client, path):
    assert client.get(console.url + path, headers={"Host": "evil.example"}).status_code == 403
    assert client.get(console.url + path, headers={"Host": f"localhost:{console.port}"}).status_code == 200


def test_a_page_of_another_site_can_neither_command_nor_open_a_socket(console, client):
    foreign = {"Origin": "http://evil.example"}
    assert client.post(console.url + "/api/clock", json={"speed": 60}, headers=foreign).status_code == 403
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert client.get(console.url + path, headers=foreign).status_code == 403
    upgrade = {
        **foreign,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    }
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert client.get(console.url + path, headers=upgrade).status_code == 403


def test_a_form_cannot_pass_for_json(console, client):
    answer = client.post(console.url + "/api/clock", content=b'{"speed": 60}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 422), (b'{"speed": "fast"}', 422), (b'{"warp": 9}', 422), (b" " * 5_000, 413)]
)
def test_a_body_that_is_no_wish_is_refused(console, client, body, status):
    answer = client.post(console.url + "/api/clock", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status


def test_a_wish_that_cannot_be_sent_says_why(console, client):
    answer = client.post(console.url + "/api/clock", json={"speed": 60})
    why = {"reason": "the broker is unavailable", "code": "no_broker", "values": {}}
    assert answer.json() == {"done": False, **why}
    for wish in ("restart", "dispatch"):
        odd = client.post(f"{console.url}/api/{wish}", json={"area": "a01", "site": "../x", "device": "kiosk-1"})
        assert odd.status_code == 422


def test_pages_may_ask_nobody_but_us_for_anything(console, client):
    policy = client.get(console.url + "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "connect-src 'self';" in policy
    assert "http" not in policy


@pytest.mark.parametrize("query", ["page=moon", "page=town&range=1y", "page=town&site=" + "x" * 60, ""])
def test_a_window_of_what_there_is_not_is_refused(console, client, query):
    assert client.get(f"{console.url}/api/window?{query}").status_code == 422


def test_windows_are_zipped_for_those_who_can_read_that(console, client):
    address = f"{console.url}/api/window?page=town"
    assert client.get(address, headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json()["panels"]


def test_with_a_password_nothing_is_served_without_it(guarded, client):
    for path in ("/", "/api/sites", "/assets/live.js", "/healthz", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        answer = client.get(guarded.url + path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert client.get(guarded.url + "/", auth=("me", "correct horse batterz")).status_code == 401
    assert client.get(guarded.url + "/", headers={"Authorization": "Basic ???"}).status_code == 401
    assert client.get(guarded.url + "/", auth=("me", PASSWORD)).status_code == 200
    assert PASSWORD not in guarded.log


def test_it_ends_on_ctrl_c_although_pages_are_open(tmp_path, client):
    with (
        running_console(tmp_path, *NOWHERE) as console,
        client.stream("GET", f"{console.url}/api/stream?page=town") as stream,
    ):
        assert "event: state" in next(stream.iter_text())
        assert console.interrupt() == 0
        assert "Traceback" not in console.log


def test_it_keeps_what_it_keeps_in_its_data_folder(tmp_path):
    with running_console(tmp_path, *NOWHERE) as console:
        console.interrupt()
    assert {path.name for path in tmp_path.iterdir()} <= {"console", "console.log"}


# What it does not begin with


def test_a_port_in_use_is_one_sentence_and_exit_code_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_console("--listen", f"127.0.0.1:{port}", *NOWHERE)
    assert ended.returncode == 2
    assert f"something listens on 127.0.0.1:{port} already" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_listening_beyond_this_machine_needs_a_password():
    ended = run_console("--listen", "0.0.0.0:0", *NOWHERE)
    assert ended.returncode == 2
    assert "set HAINA_CONSOLE_PASSWORD, or listen on 127.0.0.1" in ended.stderr


GOOD = {
    "store": "duckdb+http://127.0.0.1:8790",
    "broker": BrokerAddress("127.0.0.1", 1883),
    "collector": "http://127.0.0.1:8791",
    "listen": "127.0.0.1:8080",
    "password": None,
}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"store": "http://x"}, "^--store: a store URL is"),
        ({"collector": "127.0.0.1:8791"}, "^--collector must be http://host:port"),
        ({"collector": "http://user:s3cret@127.0.0.1:8791"}, "^--collector must be .*, without user or password$"),
        ({"listen": "8080"}, "^--listen must be host:port"),
        ({"listen": "127.0.0.1:80800"}, "^--listen must be host:port"),
        ({"password": "short"}, "must have 12 characters or more"),
        ({"listen": "192.0.2.1:80"}, "can be reached from other machines"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(BadSettings, match=sentence):
        Settings.read(**{**GOOD, **wrong})


def test_settings_print_without_the_password():
    settings = Settings.read(**{**GOOD, "password": PASSWORD, "listen": "[::1]:8080"})
    assert PASSWORD not in repr(settings)
    assert settings.host == "::1"
