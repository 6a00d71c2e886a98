"""The `haina` command: what every newcomer meets first."""

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from haina.command import compose

ROOT = Path(__file__).resolve().parents[2]
GROUP = get_command(compose())

MINUTE = ["--start", "2026-03-02T00:00Z", "--duration", "1m"]


def haina(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haina", *arguments],
        capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip


def commands() -> dict[str, object]:
    found = {}
    for name, command in GROUP.commands.items():  # type: ignore[attr-defined]
        for inner, sub in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = sub
        if not hasattr(command, "commands"):
            found[name] = command
    return found


def test_every_command_of_the_readme_exists() -> None:
    assert commands().keys() >= {
        "demo", "simulate", "collect", "store", "console", "status", "broker", "audit", "contract",
        "dashboards render", "dashboards push", "scenario check", "scenario schema",
    }  # fmt: skip


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    text = commands()[name].help or ""  # type: ignore[attr-defined]
    assert re.search(r"Examples?:", text), f"haina {name} --help shows no example"
    assert f"haina {name}" in text
    for option in commands()[name].params:  # type: ignore[attr-defined]
        assert getattr(option, "help", None), f"haina {name}: {option.name} has no help"


def test_help_fits_a_terminal_of_eighty_columns_and_cuts_nothing() -> None:
    for words in [[], *(name.split() for name in [*commands(), "deadletter", "dashboards", "scenario"])]:
        text = haina(*words, "--help", COLUMNS="80").stdout
        assert max(map(len, text.splitlines())) <= 80, f"haina {' '.join(words)} --help is too wide"
        assert not re.search(r"\w\.\.\.$|…\s", text.replace("HAINA_… ", ""), re.MULTILINE), f"{words} is cut"
    assert "mqtt://[user@]host[:port]" in haina("collect", "--help", COLUMNS="80").stdout


@pytest.mark.parametrize("name", commands())
def test_examples_are_shown_line_by_line_as_they_can_be_run(name: str) -> None:
    text = inspect.cleandoc(commands()[name].callback.__doc__)  # type: ignore[attr-defined]
    examples = [line for line in text.splitlines() if line.startswith("  ")]
    shown = haina(*name.split(), "--help", COLUMNS="80").stdout
    for example in examples:
        assert f"\n  {example}\n" in shown


@pytest.mark.parametrize("name", commands())
def test_the_variable_of_an_option_is_called_as_its_flag_is(name: str) -> None:
    shared = {
        "HAINA_BROKER", "HAINA_CA_FILE", "HAINA_CERTIFICATE", "HAINA_COLLECT_DATA", "HAINA_COLLECTOR",
        "HAINA_CONSOLE_PASSWORD", "HAINA_CREDENTIALS", "HAINA_GRAFANA", "HAINA_GRAFANA_TOKEN", "HAINA_KEY",
        "HAINA_SCENARIO", "HAINA_SEED", "HAINA_STORE",
    }  # fmt: skip
    for option in commands()[name].params:  # type: ignore[attr-defined]
        if option.param_type_name == "option" and option.name != "help":
            flags = [flag[2:] for flag in option.opts if flag.startswith("--")]
            own = "_".join(["haina", *name.split(), flags[0]]).replace("-", "_").upper()
            assert option.envvar == own or option.envvar in shared


def test_variables_of_the_demo_are_those_one_guesses(tmp_path: Path) -> None:
    assert "--for 'ever' is not a duration" in haina("demo", cwd=tmp_path, HAINA_DEMO_FOR="ever").stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["broker", "--listen", "0.0.0.0:0"], "lets anybody in from other machines"),
        (["simulate", "--scenario", "nowhere"], "nowhere"),
        (["simulate", "--start", "yesterday"], "not an ISO 8601 time"),
        (["simulate", "--start", "2026-03-02T00:00"], "has no zone"),
        (["simulate", "--history", "soon"], "not a duration"),
        (["simulate", "--speed", "-3"], "speed is 0"),
        (["simulate", "--broker", "http://x"], "mqtt://"),
        (["simulate", "--to", "x.jsonl"], "give --start and --duration"),
        (["simulate", "--start", "0001-01-01T00:00Z"], "not between 1970 and 2255"),
        (["simulate", "--start", "9999-12-31T00:00Z", "--future"], "not between 1970 and 2255"),
        (["simulate", "--history", "99999d"], "longer than 100 years"),
        (["simulate", "--wait-for", "soon"], "--wait-for must be http://"),
        (["simulate", "--to", ".", *MINUTE], "Is a directory"),
        (["simulate", "--to", "x.jsonl", *MINUTE, "--speed", "60"], "--speed goes with a broker, and not with --to"),
        (["simulate", "--to", "x.jsonl", *MINUTE, "--wait-for", "http://x"], "--wait-for goes with a broker"),
        (["simulate", "--history", "1h", *MINUTE], "--history counts back from now; give it or --start, not both"),
        (["contract", "docs", "--measurement", "wearable"], "--measurement goes with schema"),
        (["store", "--max-size", "500"], "--max-size '500': a store wants 64MiB or more"),
        (
            ["rollup", "--store", "influxdb+http://h/b", "--keep", "500ms"],
            "--keep 500ms must be a day longer than --late",
        ),
        (
            ["simulate", "--to", "nowhere/x.jsonl", "--start", "2026-03-02T00:00Z", "--duration", "1m"],
            "No such file or directory",
        ),
        (
            [
                "simulate",
                "--to",
                "x.jsonl",
                "--commands",
                "nowhere",
                "--start",
                "2026-03-02T00:00Z",
                "--duration",
                "1m",
            ],
            "nowhere: No such file or directory",
        ),
        (["demo", "--for", "ever"], "not a duration"),
        (["demo", "--listen", "192.0.2.1:8080"], "Cannot assign requested address"),
        (["broker", "--listen", "192.0.2.1:1883", "--allow-anonymous"], "Cannot assign requested address"),
        (["store", "--memory-limit", "0"], "64MiB or more"),
        (["collect", "--client-id", ""], "--client-id must be 1 to 65,535 bytes"),
        (["console", "--store", "null:"], "there is nothing to show"),
        (["export", "h0001", "--to", "h0001.zip", "--run", "."], "there is no run in ."),
        (["export", "h0001", "--to", "nowhere/h0001.zip", "--store", "null:"], "there is no folder nowhere"),
        (["forget", "h0001", "--yes", "--data", "."], "there is no journal in ."),
        (["dashboards", "push", "--grafana", "http://127.0.0.1:99999"], "takes a URL such as"),
        (
            ["dashboards", "push", "--grafana", "http://127.0.0.1:1"],
            "no Grafana answers at http",
        ),
        (["validate", "--json", ".", "--only", "thinning"], "Is a directory"),
        (["simulate", "--data", ""], "--data is empty; give a path, or leave it out"),
        (["export", "h0001", "--to", "x.zip", "--run", ".", "--run", ""], "--run is empty; give a path"),
        (["export", "h0001", "--to", "x.zip", "--run", ".", "--run", os.curdir], "is given twice"),
        (["collect", "--broker", "mqtt://a b"], "must name a host or an IP address"),
        (["collect", "--store", "null:", "--store", "null"], "--store null is the same store as --store null:"),
        (
            ["forget", "h1", "--store", "duckdb+http://[::1]:80", "--store", "duckdb+http://localhost/"],
            "is the same store as --store duckdb+http://[::1]:80; give it once",
        ),
        (["demo", "--listen", "8080"], "host:port"),
        (["broker", "--listen", "1883"], "host:port"),
        (["contract", "poem"], "docs, topics, asyncapi, tables or schema"),
        (["contract", "schema", "--measurement", "mood"], "unknown measurement 'mood'"),
        (["--config", "missing.toml", "status"], "missing.toml: No such file"),
        (["status", "--url", "http://127.0.0.1:1"], "no collector answers"),
    ],
)
def test_nonsense_gets_one_clear_sentence_and_no_traceback(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    answer = haina(*arguments, cwd=tmp_path)
    assert answer.returncode in {1, 2}
    assert sentence in answer.stderr
    assert answer.stderr.startswith("haina: ")
    assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_flags_then_variables_then_the_file_then_defaults(tmp_path: Path) -> None:
    def asked(*flags: str, **environment: str) -> str:
        return haina("status", *flags, cwd=tmp_path, **environment).stderr

    assert commands()["status"].params[0].default == "http://127.0.0.1:8791"  # type: ignore[attr-defined]
    (tmp_path / "haina.toml").write_text('[status]\nurl = "http://127.0.0.1:3"\n')
    assert "127.0.0.1:3 " in asked()
    assert "127.0.0.1:2 " in asked(HAINA_COLLECTOR="http://127.0.0.1:2")
    assert "127.0.0.1:1 " in asked("--url", "http://127.0.0.1:1", HAINA_COLLECTOR="http://127.0.0.1:2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("brokr = 1", "unknown setting 'brokr'; did you mean 'broker'?"),
        ("[colect]\n", "unknown setting 'colect'; did you mean 'collect'?"),
        ("[status]\nurll = 1\n", "[status] unknown setting 'urll'; did you mean 'url'?"),
        ("[deadletter.lst]\n", "[deadletter] unknown setting 'lst'; did you mean 'list'?"),
        ("[deadletter.list]\nlimits = 1\n", "[deadletter.list] unknown setting 'limits'; did you mean 'limit'?"),
        ("[collect]\nhelp = true\n", "[collect] unknown setting 'help'"),
        ("[status]\njson = 'perhaps'\n", "Invalid value for '--json'"),
        ("[status]\nca-file = ''\n", "--ca-file is empty; give a path"),
        ("log-level = 'loud'\n", "'loud' is not one of"),
        ("broker = \n", "haina.toml: "),
        ("broker = '\udcff'\n", "haina.toml: "),
    ],
)
def test_a_wrong_settings_file_is_named_with_what_is_wrong(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "haina.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    answer = haina("status", cwd=tmp_path)
    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_settings_file_reaches_every_command_and_the_logs(tmp_path: Path) -> None:
    (tmp_path / "haina.toml").write_text(
        'log-level = "error"\nstore = "poem:"\ntoken = "secret"\n[deadletter]\ndata = "here"\n'
        '[dashboards.push]\ngrafana = "http://127.0.0.1:2"\n'
    )
    assert "there is no journal in here" in haina("deadletter", "list", cwd=tmp_path).stderr
    assert "http://127.0.0.1:2 " in haina("dashboards", "push", cwd=tmp_path).stderr
    assert "got 'poem:'" in haina("collect", "--http", "", cwd=tmp_path).stderr  # --store may be given several times
    answer = haina("simulate", "--broker", "mqtt://127.0.0.1:2", "--duration", "0s", "--speed", "0", cwd=tmp_path)
    assert answer.stderr == ""
    assert "0 durable" in answer.stdout


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, ended_by: signal.Signals) -> None:
    target = tmp_path / "out.jsonl"
    day = ["simulate", "--seed", "7", "--start", "2026-03-02T00:00+08:00", "--to", str(target)]
    assert haina(*day, "--duration", "10m").returncode == 0
    first = json.loads(target.read_text().splitlines()[0])
    assert first["topic"].startswith("haina/v1/meta/")
    interrupted = subprocess.Popen(
        [sys.executable, "-m", "haina", *day[:-1], str(tmp_path / "never.jsonl"), "--duration", "30d"],
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "never.jsonl.part").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    interrupted.send_signal(ended_by)
    try:
        interrupted.communicate(timeout=60)
    finally:
        interrupted.kill()
    assert interrupted.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_the_contract_prints_as_documents() -> None:
    assert json.loads(haina("contract", "asyncapi").stdout)["asyncapi"] == "3.0.0"
    assert "| `heart_rate_bpm` |" in haina("contract").stdout
    assert 'CREATE TABLE "wearable" ("time_ns" BIGINT NOT NULL,' in haina("contract", "tables").stdout
    assert json.loads(haina("contract", "schema", "--measurement", "wearable").stdout)["title"] == "wearable"


def test_the_rooms_keep_their_arrows() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_a_simulator_that_still_waits_for_its_collector_ends_when_asked_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.settimeout(60)
        url = f"http://127.0.0.1:{collector.getsockname()[1]}/healthz"
        waiting = subprocess.Popen(
            [sys.executable, "-m", "haina", "simulate", "--data", str(tmp_path), "--wait-for", url],
            stdout=subprocess.DEVNULL,
        )
        try:
            asked, _ = collector.accept()  # and hung up on: not ready yet
            asked.close()
            waiting.send_signal(signal.SIGTERM)
            assert waiting.wait(timeout=60) == 0
        finally:
            waiting.kill()


@pytest.mark.parametrize("whose", ["new", "theirs"])
@pytest.mark.parametrize(
    ("arguments", "signs"),
    [
        (["credentials", "--to"], ["mosquitto/passwords", "console/accounts", "authority.key"]),
        (["collect", "--store", "null:", "--http", "", "--data"], ["journal.db", "lock"]),
        (["store", "--listen", "127.0.0.1:0", "--data"], ["haina.duckdb"]),
        (["simulate", "--broker", "mqtt://127.0.0.1:2", "--data"], ["run.json", "run.sent", "run.truth"]),
    ],
)
def test_what_is_kept_is_for_its_owner_alone(
    tmp_path: Path, arguments: list[str], signs: list[str], whose: str
) -> None:
    folder = tmp_path / "kept"
    if whose == "theirs":
        folder.mkdir(mode=0o755)
    more = ["--tls", "127.0.0.1"] if "credentials" in arguments else []
    part = subprocess.Popen(
        [sys.executable, "-m", "haina", *arguments, str(folder), *more],
        umask=0o022,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 60
        while not all((folder / name).exists() for name in signs):
            assert time.monotonic() < deadline_s, [path.name for path in folder.rglob("*")]
            time.sleep(0.05)
    finally:
        part.kill()
        part.wait()
    assert [path for path in folder.rglob("*") if path.stat().st_mode & 0o077] == []
    assert folder.stat().st_mode & 0o777 == (0o700 if whose == "new" else 0o755), "the user's own stays"


def test_the_embedded_broker_lets_other_machines_in_where_that_is_said() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "haina", "broker", "--listen", "0.0.0.0:0", "--allow-anonymous"],
        stderr=subprocess.PIPE,
        text=True,
    ) as broker:
        try:
            assert broker.stderr is not None
            assert "the embedded broker serves" in broker.stderr.readline()
        finally:
            broker.kill()


def test_a_second_interrupt_ends_a_part_that_takes_its_time_at_once_with_130_and_without_a_word() -> None:
    """By the function that all parts share; this one would take for ever."""
    code = """if True:
        import asyncio, logging
        from haina.command import app
        from haina.command_line import run_until_signalled

        async def run():
            async with run_until_signalled(lambda: print("asked", flush=True)):
                print("here", flush=True)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    logging.exception("a library that is cancelled")
                    raise

        @app.command()
        def last():
            asyncio.run(run())

        app(["last"])
    """
    part = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert part.stdout is not None
    try:
        for said in ("here", "asked"):
            assert part.stdout.readline() == f"{said}\n"
            part.send_signal(signal.SIGINT)
        printed, logged = part.communicate(timeout=60)
    finally:
        part.kill()
    assert (part.returncode, printed, logged) == (130, "asked\n", "")
