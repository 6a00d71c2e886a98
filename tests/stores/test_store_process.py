"""`haina store` as a process, and its client: what was acknowledged survives, and every no is a sentence."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import httpx
import pytest
import uvicorn
from msgspec.structs import replace

from collector.duckdb_store.database import Database
from collector.duckdb_store.service import Limits, Service, listening_socket
from collector.stores import StoreRefused, StoreUnavailable, open_store
from collector.stores.duckdb import ARROW_STREAM, arrow_streams
from haina.contract import Point
from haina.query import Aggregate, Query
from haina.query.reader import QueryRefused, StoreUnreachable, open_reader
from haina.query.wire import MAX_QUERIES
from tests.haina_store import RunningStore, haina_store, run_store_command
from tests.stores.points import START_MS, build_points

COUNT = Query("wearable", "steps", Aggregate.COUNT)
LATER_MS = START_MS + 86_400_000


def stored(store: RunningStore) -> int:
    return int(httpx.get(f"{store.http_url}/healthz").json()["points"])


def test_after_kill_9_in_mid_write_cursor_and_rows_agree(tmp_path: Path) -> None:
    """Three times: kill -9 while batches stream in; the file holds exactly the points up to its cursor, and no
    acknowledged one is missing; the collector goes on where it was, and in the end every point is there once.
    """
    batch = 200
    acknowledged = 0
    with haina_store(tmp_path) as store:
        for _ in range(3):
            client = open_store(store.url)
            killer = threading.Timer(0.4, store.kill)
            killer.start()
            with contextlib.suppress(StoreUnavailable):
                while True:
                    client.write("journal", acknowledged + batch, build_points(batch, first=acknowledged + 1))
                    acknowledged += batch
            killer.join()
            client.close()
            with duckdb.connect(str(tmp_path / "haina.duckdb")) as file:
                (cursor,) = file.execute("SELECT coalesce(max(cursor), 0) FROM haina_cursor").fetchone() or (0,)
                seqs = file.execute("SELECT seq FROM wearable UNION ALL SELECT seq FROM kiosk_state").fetchall()
            assert cursor in {acknowledged, acknowledged + batch}
            assert sorted(seq for (seq,) in seqs) == list(range(1, cursor + 1))
            store.restart()
        client = open_store(store.url)
        client.write("journal", acknowledged + 2 * batch, build_points(2 * batch, first=acknowledged + 1))
        client.close()
        assert acknowledged > 0
        assert stored(store) == acknowledged + 2 * batch


def test_batches_cut_otherwise_after_a_lost_answer_are_there_once(store: RunningStore) -> None:
    client = open_store(store.url)
    client.write("journal", 60, build_points(60))
    client.write("journal", 100, build_points(70, first=31))
    client.write("journal", 100, build_points(100))
    client.close()
    assert stored(store) == 100


def test_a_full_disk_stops_writes_and_not_the_store(store: RunningStore) -> None:
    """The batch is neither lost nor refused: it is tried again, and goes in when there is room."""
    client = open_store(store.url)
    client.write("journal", 100, build_points(100))
    store.limit_file_size((store.folder / "haina.duckdb.wal").stat().st_size + 4096)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"disk .* is full") as caught:
            client.write("journal", 20_100, build_points(20_000, first=101))
        assert caught.value.retry_after_s
    assert stored(store) == 100
    with open_reader(store.url) as reader:
        assert reader.run(COUNT, START_MS, LATER_MS)[0].values == [67]
    assert httpx.get(f"{store.http_url}/healthz").json()["status"] == "full"
    store.limit_file_size(None)
    client.write("journal", 20_100, build_points(20_000, first=101))
    client.close()
    assert stored(store) == 20_100
    assert httpx.get(f"{store.http_url}/healthz").json()["status"] == "ok"
    store.restart()
    assert stored(store) == 20_100


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_asked_to(store: RunningStore, number: int) -> None:
    """Exit code 0, and the write-ahead log is folded into the file, with a client connected and a stream open."""
    client = open_store(store.url)
    client.write("journal", 20_000, build_points(20_000))
    parameters: dict[str, str | int] = {"measurement": "wearable", "start_ms": START_MS, "end_ms": LATER_MS}
    with httpx.stream("GET", f"{store.http_url}/points", params=parameters):
        assert store.stop(number) == 0
    client.close()
    assert (store.folder / "haina.duckdb").exists()
    assert not (store.folder / "haina.duckdb.wal").exists()


def test_readers_read_while_the_writer_writes(store: RunningStore) -> None:
    """Every reader sees whole batches, and never fewer points than before."""
    done = threading.Event()

    def read() -> list[int]:
        counts = []
        with open_reader(store.url) as reader:
            while not done.is_set():
                found = reader.run(Query("home_motion", "motion", Aggregate.COUNT), START_MS, LATER_MS)
                counts.append(int(found[0].values[0]) if found else 0)
        return counts

    threads = ThreadPoolExecutor(2)
    reading = [threads.submit(read) for _ in range(2)]
    client = open_store(store.url)
    for batch in range(20):
        points = [
            Point("home_motion", "a", "s", "d", START_MS + number, 1, number + 1, (True,))
            for number in range(batch * 100, batch * 100 + 100)
        ]
        client.write("journal", batch * 100 + 100, points)
    client.close()
    done.set()
    threads.shutdown()
    for counts in (one.result() for one in reading):
        assert counts
        assert counts == sorted(counts)
        assert all(count % 100 == 0 for count in counts)


def test_a_token_is_demanded_where_one_is_set(tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    with haina_store(tmp_path, environment={"HAINA_STORE_TOKEN": secret}) as store:
        writer = open_store(store.url, secret)
        writer.write("journal", 10, build_points(10))
        writer.close()
        with open_reader(store.url, secret) as reader:
            assert reader.run(COUNT, START_MS, LATER_MS)
        wrong = open_store(store.url, "wrong-token")
        with pytest.raises(StoreUnavailable, match="HAINA_STORE_TOKEN") as refused:
            wrong.write("journal", 20, build_points(10, first=11))
        wrong.close()
        with open_reader(store.url, "wrong-token") as stranger:
            with pytest.raises(StoreUnreachable, match="HAINA_STORE_TOKEN") as unread:
                stranger.run(COUNT, START_MS, LATER_MS)
            with pytest.raises(StoreUnreachable, match="HAINA_STORE_TOKEN"):
                list(stranger.points("wearable", START_MS, LATER_MS))
        assert "wrong-token" not in str(refused.value) + repr(refused.value) + str(unread.value)
        assert httpx.get(f"{store.http_url}/healthz").status_code == 200


def exits_with(*arguments: str) -> str:
    """The one sentence with which `haina store` ends with exit code 2."""
    process = run_store_command("store", *arguments, environment={"HAINA_STORE_TOKEN": ""})
    _, printed = process.communicate(timeout=90)
    assert process.returncode == 2, printed
    assert printed.startswith("haina: ")
    assert len(printed.splitlines()) == 1, printed
    return printed


def test_a_file_that_another_process_owns_is_an_error_of_one_sentence(store: RunningStore) -> None:
    assert "open in another process" in exits_with("--data", str(store.folder), "--listen", "127.0.0.1:0")


def test_a_port_in_use_is_an_error_of_one_sentence(store: RunningStore, tmp_path: Path) -> None:
    printed = exits_with("--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{store.port}")
    assert "another port" in printed
    assert not (tmp_path / "other").exists()


def test_a_folder_that_cannot_be_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "folder" in exits_with("--data", str(tmp_path / "file" / "store"), "--listen", "127.0.0.1:0")


def test_a_file_that_is_no_database_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "haina.duckdb").write_text("something else entirely, and rather long " * 1000)
    assert "not a DuckDB file" in exits_with("--data", str(tmp_path), "--listen", "127.0.0.1:0")


@pytest.mark.parametrize("listen", ["8790", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", ":8790"])
def test_a_wrong_address_is_an_error_of_one_sentence(tmp_path: Path, listen: str) -> None:
    assert "must be host:port" in exits_with("--data", str(tmp_path), "--listen", listen)


def test_a_wrong_memory_limit_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    printed = exits_with("--data", str(tmp_path), "--listen", "127.0.0.1:0", "--memory-limit", "plenty")
    assert "--memory-limit 'plenty' is not a size" in printed


def test_other_machines_are_let_in_with_a_token_only(tmp_path: Path) -> None:
    assert "HAINA_STORE_TOKEN" in exits_with("--data", str(tmp_path), "--listen", "0.0.0.0:0")


@contextlib.contextmanager
def service(folder: Path, limits: Limits) -> Iterator[tuple[Database, httpx.Client]]:
    """The process's door with limits that no command line offers, in a thread."""
    database = Database(folder)
    bound = listening_socket("127.0.0.1:0", None)
    config = uvicorn.Config(Service(database, limits).application, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            yield database, client
    finally:
        server.should_exit = True
        thread.join()


def post(client: httpx.Client, points: list[Point], cursor: int) -> httpx.Response:
    return client.post(
        "/write",
        params={"source": "journal", "cursor": cursor, "count": len(points)},
        content=arrow_streams(points),
        headers={"Content-Type": ARROW_STREAM},
    )


def ask(client: httpx.Client, **more: object) -> httpx.Response:
    query = {"measurement": "wearable", "field": "steps", "aggregate": "mean", "window_s": 10}
    return client.post("/query", json={"queries": [query], "start_ms": START_MS, "end_ms": LATER_MS, **more})


def test_a_body_over_the_limit_is_refused_so_that_it_is_halved(tmp_path: Path) -> None:
    with service(tmp_path, Limits(body_bytes=10_000)) as (_, client):
        assert post(client, build_points(1_000), 1_000).status_code == 413
        assert post(client, build_points(10), 10).status_code == 200


def test_a_question_over_a_limit_gets_a_sentence(tmp_path: Path) -> None:
    """Too many values, too many queries at once, too many waiting, too many streams."""
    with service(tmp_path, Limits(query_rows=10, waiting_reads=2, streams=0)) as (_, client):
        post(client, build_points(1_000), 1_000)
        assert "more than 10 values" in ask(client).json()["answers"][0]["error"]
        assert ask(client, queries=[{}] * 3).status_code == 503
        assert ask(client, queries=[{}] * (MAX_QUERIES + 1)).status_code == 413
        parameters: dict[str, str | int] = {"measurement": "wearable", "start_ms": 0, "end_ms": LATER_MS}
        answer = client.get("/points", params=parameters)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_wrong_query_spoils_no_other(tmp_path: Path) -> None:
    with service(tmp_path, Limits()) as (_, client):
        post(client, build_points(100), 100)
        good = {"measurement": "wearable", "field": "steps", "aggregate": "count"}
        bad = [{**good, "field": "mood"}, {**good, "aggregate": "median"}, {**good, "where": [["site", "<", ["x"]]]}, 7]
        answers = ask(client, queries=[*bad, good]).json()["answers"]
        assert all("error" in answer for answer in answers[:-1])
        assert "no field 'mood'" in answers[0]["error"]
        assert answers[-1]["series"][0]["values"] == [67]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"queries": 1}', b"\xff\xfe", b"[" * 10_000])
def test_a_body_that_is_no_question_is_refused(tmp_path: Path, body: bytes) -> None:
    with service(tmp_path, Limits()) as (_, client):
        answer = client.post("/query", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"nonsense", arrow_streams(build_points(10))[:-100]])
def test_a_body_that_is_no_batch_is_refused(tmp_path: Path, body: bytes) -> None:
    with service(tmp_path, Limits()) as (database, client):
        parameters: dict[str, str | int] = {"source": "journal", "cursor": 10, "count": 10}
        answer = client.post("/write", params=parameters, content=body, headers={"Content-Type": ARROW_STREAM})
        assert answer.status_code == 422
        assert sum(database.rows.values()) == 0


def test_a_web_page_can_neither_write_nor_ask(tmp_path: Path) -> None:
    """What a browser sends without asking first, and what arrives under a foreign name, is refused."""
    with service(tmp_path, Limits()) as (_, client):
        parameters: dict[str, str | int] = {"source": "journal", "cursor": 10, "count": 10}
        body = arrow_streams(build_points(10))
        plain = {"Content-Type": "text/plain"}
        assert client.post("/write", params=parameters, content=body, headers=plain).status_code == 422
        assert client.post("/query", content=b"{}", headers=plain).status_code == 422
        assert client.get("/describe", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]"])
def test_it_answers_at_whatever_loopback_address_it_was_given(tmp_path: Path, host: str) -> None:
    with haina_store(tmp_path, "--listen", f"{host}:0", environment={"HAINA_STORE_TOKEN": ""}) as store:
        url = f"http://{host}:{store.port}"
        assert store.said_url == f"duckdb+{url}"
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/describe", headers={"Host": "evil.example"}).status_code == 400


def test_metrics_tell_rows_bytes_and_latencies(tmp_path: Path) -> None:
    with service(tmp_path, Limits()) as (_, client):
        post(client, build_points(99), 99)
        post(client, build_points(99), 99)
        ask(client)
        text = client.get("/metrics").text
    for line in (
        'haina_store_rows{measurement="wearable"} 66.0',
        'haina_store_writes_total{outcome="written"} 1.0',
        'haina_store_writes_total{outcome="skipped"} 1.0',
        "haina_store_points_total 99.0",
        "haina_store_write_seconds_count 2.0",
        "haina_store_query_seconds_count 1.0",
    ):
        assert line in text
    assert "haina_store_bytes" in text


def test_nobody_at_the_address_is_a_sentence() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"duckdb+http://127.0.0.1:{nobody.getsockname()[1]}"
        client = open_store(url)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            client.write("journal", 10, build_points(10))
        client.close()
        with open_reader(url) as reader:
            with pytest.raises(StoreUnreachable, match="does not answer"):
                reader.run(COUNT, START_MS, LATER_MS)
            with pytest.raises(StoreUnreachable, match="does not answer"):
                list(reader.points("wearable", START_MS, LATER_MS))
            with pytest.raises(QueryRefused, match="unknown measurement"):
                list(reader.points("gravity", START_MS, LATER_MS))


def test_a_point_that_no_column_takes_is_refused(store: RunningStore) -> None:
    client = open_store(store.url)
    beyond = replace(build_points(1)[0], seq=2**70)
    with pytest.raises(StoreRefused):
        client.write("journal", 1, [beyond])
    client.close()


def test_queries_run_in_an_event_loop_as_in_threads(store: RunningStore) -> None:
    import asyncio

    client = open_store(store.url)
    client.write("journal", 100, build_points(100))
    client.close()
    queries = [Query("wearable", "steps", aggregate, 10, ("device",)) for aggregate in Aggregate]

    async def ask_all() -> object:
        async with open_reader(store.url) as reader:
            return await reader.run_many_async(queries, START_MS, LATER_MS)

    with open_reader(store.url) as reader:
        assert asyncio.run(ask_all()) == reader.run_many(queries, START_MS, LATER_MS)


def test_a_query_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """With an absurd limit; the store goes on answering what is quick."""
    with haina_store(tmp_path, "--query-seconds", "0.1", "--threads", "1") as store:
        client = open_store(store.url)
        for batch in range(10):
            client.write("journal", (batch + 1) * 20_000, build_points(20_000, first=batch * 20_000 + 1, devices=2_000))
        client.close()
        heavy = [Query("wearable", "steps", Aggregate.P95, 1, ("device",), (), Aggregate.P95)] * 20
        with open_reader(store.url) as reader:
            answers = reader.run_many(heavy, START_MS, LATER_MS)
            refused = [str(answer) for answer in answers if isinstance(answer, QueryRefused)]
            assert any("took too long" in reason for reason in refused), answers
            assert reader.run(COUNT, START_MS, START_MS + 10_000)


def test_the_answer_of_describe_is_what_was_written(store: RunningStore) -> None:
    client = open_store(store.url)
    client.write("journal", 99, build_points(99))
    client.close()
    with open_reader(store.url) as reader:
        held = reader.describe()
        assert {name: found.points for name, found in held.items()} == {"wearable": 66, "kiosk_state": 33}
        assert reader.latest_ms() == max(point.time_ms for point in build_points(99))
    assert json.loads(httpx.get(f"{store.http_url}/describe").text)["measurements"].keys() == held.keys()


def test_raw_points_that_were_cut_short_are_not_taken_for_all(tmp_path: Path) -> None:
    """The stream is interrupted in mid-way, as at the store's end: the reader says so instead of ending early."""
    with service(tmp_path, Limits()) as (database, client):
        for batch in range(1, 16):
            points = build_points(20_000, first=batch * 20_000 - 19_999, devices=100)
            assert post(client, points, batch * 20_000).status_code == 200
        with open_reader(f"duckdb+{str(client.base_url).rstrip('/')}") as reader:
            batches = reader.batches("wearable", START_MS, LATER_MS)
            next(batches)
            database.interrupt()
            with pytest.raises(StoreUnreachable, match="cut its points short"):
                list(batches)
            assert sum(batch.num_rows for batch in reader.batches("wearable", START_MS, LATER_MS)) == 200_000
