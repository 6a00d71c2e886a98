"""The demo: the whole line with one command, and nothing left behind but its data folder."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = {
    "published", "acknowledged", "received", "stored", "rejected", "refused", "pending", "lost", "duplicates",
    "simulated_s", "backfill_s", "wall_s", "peak_rss_mib",
}  # fmt: skip
SMALL = "title: One place\nareas:\n  a01: {centres: 1, homes: 3}\n"


def demo_command(data: Path, *arguments: str) -> list[str]:
    scenario = data.parent / "one-place.yaml"
    scenario.write_text(SMALL)
    return [sys.executable, "-m", "haina", "demo", "--scenario", str(scenario), "--data", str(data), *arguments]


def run_demo(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(demo_command(data, *arguments), capture_output=True, text=True, check=False, timeout=150)


@contextmanager
def running_demo(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that is up: its screen has been shown."""
    with subprocess.Popen(
        demo_command(data, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            screen = ""
            for line in demo.stdout:
                screen += line
                if "stops everything" in line:
                    break
            else:
                pytest.fail(f"the demo ended before it ran:\n{screen}")
            yield demo
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGINT)
                demo.communicate(timeout=30)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_headless_demo_accounts_for_every_reading_and_goes_on_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shell that holds the entry to another line as well: its accounts are not ours, a token may guard us too."""
    for name in ("HAINA_CREDENTIALS", "HAINA_CA_FILE", "HAINA_CERTIFICATE", "HAINA_COLLECTOR_TOKEN"):
        monkeypatch.setenv(name, "another-lines")
    data = tmp_path / "data"
    first = run_demo(data, "--headless", "--for", "2s", "--history", "3h", "--json")
    assert first.returncode == 0, first.stderr
    account = json.loads(first.stdout)
    assert account.keys() == ACCOUNT
    assert account["published"] > 1_000
    assert account["published"] == account["acknowledged"] == account["received"] == account["stored"]
    assert not any(account[name] for name in ("rejected", "refused", "pending", "lost", "duplicates"))
    assert account["simulated_s"] >= 3 * 3600
    again = run_demo(data, "--headless", "--for", "1s", "--history", "3h", "--json")
    assert again.returncode == 0, again.stderr
    more = json.loads(again.stdout)
    assert 0 < more["published"] < account["published"], "it began again instead of going on"
    assert more["lost"] == more["duplicates"] == 0


def test_ctrl_c_stops_everything_within_5_seconds_and_leaves_only_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_demo(data, "--listen", f"127.0.0.1:{free_port()}", "--history", "1h") as demo:
        parts = children(demo.pid)
        assert len(parts) == 5
        time.sleep(2)
        asked_s = time.monotonic()
        demo.send_signal(signal.SIGINT)
        out, _ = demo.communicate(timeout=30)
        took_s = time.monotonic() - asked_s
        assert demo.returncode == 0, out
        assert took_s < 5.0
        assert "delete the folder to start anew" in re.sub(r"\s+", " ", out)
        assert not [pid for pid in parts if is_alive(pid)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "one-place.yaml"]


def test_the_audit_of_a_running_demo_is_clean_and_says_up_to_when(tmp_path: Path) -> None:
    """Fast, so that there is always something that the store has and the ledger does not tell yet."""
    data = tmp_path / "data"
    with running_demo(data, "--headless", "--history", "6h", "--speed", "60") as demo:
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in children(demo.pid)]
        [store] = [command for command in commands if "store" in command]
        url = f"duckdb+http://{store[store.index('--listen') + 1]}"
        for _ in range(3):
            audit = subprocess.run(
                [sys.executable, "-m", "haina", "audit", "--sent", str(data / "run" / "run.sent"), "--store", url],
                capture_output=True, text=True, check=False, timeout=90,
            )  # fmt: skip
            assert audit.returncode == 0, audit.stdout + audit.stderr
            assert ": 0 lost, 0 extra, 0 duplicates, 0 altered minutes." in audit.stdout
            assert re.search(r"under way: compared up to 20.* UTC \(town time\); left out \d+ device-", audit.stdout)
            assert audit.stderr == ""


def test_two_demos_that_start_together_take_different_ports(tmp_path: Path) -> None:
    turn = os.open(tempfile.gettempdir(), os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)
    folders = [tmp_path / "one" / "data", tmp_path / "other" / "data"]
    demos = []
    for data in folders:
        data.parent.mkdir()
        command = demo_command(data, "--headless", "--for", "1s", "--history", "1h", "--json")
        demos.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    deadline_s = time.monotonic() + 60
    while not all((data / "demo.lock").exists() for data in folders) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    time.sleep(0.5)
    assert not any(children(demo.pid) for demo in demos), "it began before its turn"
    os.close(turn)
    for demo in demos:
        out, err = demo.communicate(timeout=150)
        assert demo.returncode == 0, err
        account = json.loads(out)
        assert account["published"] == account["stored"] > 300
        assert account["lost"] == account["duplicates"] == account["rejected"] == 0


def test_a_second_demo_on_a_folder_is_refused_and_the_first_does_not_notice(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_demo(data, "--headless", "--history", "1h") as demo:
        second = run_demo(data, "--headless", "--history", "1h")
        assert second.returncode == 2
        assert f"another demo (process {demo.pid}) runs on" in second.stderr
        assert "--data" in second.stderr
        assert demo.poll() is None


def test_a_port_in_use_is_one_sentence_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run_demo(tmp_path / "data", "--listen", f"127.0.0.1:{port}")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"port {port} is in use" in refused.stderr
    assert f"--listen 127.0.0.1:{port + 1}" in refused.stderr


def test_a_broken_scenario_is_named_with_its_line_and_nothing_stays_running(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("title: Broken\nareas:\n  a01: {centres: 1, homs: 3}\n")
    data = tmp_path / "data"
    refused = run_demo(data, "--scenario", str(broken), "--headless")
    assert refused.returncode == 2
    assert "broken.yaml:3" in refused.stderr
    assert "homs" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_part_that_dies_ends_the_demo_with_its_last_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_demo(data, "--headless", "--history", "1h") as demo:
        parts = children(demo.pid)
        [store] = [pid for pid in parts if b"\0store\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(store, signal.SIGKILL)
        out, _ = demo.communicate(timeout=30)
        assert demo.returncode == 1
        assert "store ended with exit code -9" in out
        assert "store.log" in out
        assert not [pid for pid in parts if is_alive(pid)]


def test_when_the_supervisor_is_killed_its_parts_stop_too(tmp_path: Path) -> None:
    with running_demo(tmp_path / "data", "--headless", "--history", "1h") as demo:
        parts = children(demo.pid)
        demo.kill()
        deadline_s = time.monotonic() + 20
        while any(map(is_alive, parts)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert not [pid for pid in parts if is_alive(pid)]


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from haina.demo import Demo, DemoFailed

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=10 * 2**20))
    plan = Demo("laptop", 1, "1h", 1.0, tmp_path / "data", None, 1.0, as_json=True)
    with pytest.raises(DemoFailed, match="only 10 MiB are free"):
        plan.run()


@pytest.mark.timeout(900)
def test_make_demo_works_in_a_fresh_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    port = free_port()
    log = tmp_path / "log.txt"
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    with log.open("wb") as out:
        make = subprocess.Popen(
            ["make", "demo", f"LISTEN=127.0.0.1:{port}"],
            cwd=clone, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=environment,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 800
        while "the town is live" not in log.read_text():
            assert make.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.5)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.status == 200
    finally:
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGINT)
        make.wait(timeout=60)
    assert "delete the folder to start anew" in re.sub(r"\s+", " ", log.read_text())
    changed = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == "", "make demo left files that git does not ignore"
