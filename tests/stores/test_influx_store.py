"""InfluxDB as a store: what its refusals mean, against the real thing, and no secret in what we say about them."""

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from msgspec.structs import replace

from collector.stores import Store, StoreRefused, StoreUnavailable, open_store
from collector.stores.influx import InfluxStore
from collector.stores.influx_hourly import Hourly
from haina.contract import Point
from haina.query import Aggregate, Filter, Query, Series
from haina.query.influxql import compile_from_hours, compile_influxql, time_range
from haina.query.reader import QueryRefused, StoreUnreachable, open_reader
from haina.store_url import StoreURL
from tests.influx import RunningInflux, influxdb_1
from tests.stores.points import START_MS, build_points

LATER_MS = START_MS + 86_400_000
HOUR_MS = 3_600_000
COUNT = Query("wearable", "steps", Aggregate.COUNT)
OF_HOURS = (Aggregate.COUNT, Aggregate.SUM, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.SPREAD)
BUCKETS = itertools.count()


def build_store(influx: RunningInflux, keep_s: int | None = None) -> tuple[Store, str, str]:
    """A store on a new bucket, the bucket and its URL."""
    bucket = f"bucket-{next(BUCKETS)}"
    url = influx.create_bucket(bucket, keep_s)
    return open_store(url, influx.token or None), bucket, url


def counted(influx: RunningInflux, url: str) -> int:
    with open_reader(url, influx.token or None) as reader:
        return sum(1 for name in ("wearable", "kiosk_state") for _ in reader.points(name, START_MS, LATER_MS))


def write_halving(store: Store, cursor: int, points: Sequence[Point]) -> list[Point]:
    """What a shipper does with a refused batch; the points that were refused alone."""
    try:
        store.write("journal", cursor, points)
    except StoreRefused:
        if len(points) == 1:
            return list(points)
        half = len(points) // 2
        first = write_halving(store, cursor - len(points) + half, points[:half])
        return first + write_halving(store, cursor, points[half:])
    return []


def test_writing_a_batch_twice_changes_nothing(influx: RunningInflux) -> None:
    store, _, url = build_store(influx)
    for _ in range(2):
        store.write("journal", 100, build_points(100))
    assert counted(influx, url) == 100
    store.close()


def test_points_of_one_millisecond_do_not_overwrite_each_other(influx: RunningInflux) -> None:
    store, _, url = build_store(influx)
    points = [replace(point, time_ms=START_MS, device="d") for point in build_points(50)]
    store.write("journal", 50, points)
    assert counted(influx, url) == 50
    store.close()


def test_texts_come_back_letter_by_letter(influx: RunningInflux) -> None:
    """Quotes, backslashes, commas, equals signs, spaces and Chinese pass through line protocol and back."""
    store, _, url = build_store(influx)
    texts = ['say "no"', "back\\slash", "\\", '\\"', "a,b=c d", "卡纸", " ", "'", "#", "%s %d"]
    points = [
        Point("kiosk_state", "a", "s", "d", START_MS, 1, number, (0, text, 50.0, None, None))
        for number, text in enumerate(texts, start=1)
    ]
    store.write("journal", len(points), points)
    with open_reader(url, influx.token or None) as reader:
        found = {point.seq: point.values[1] for point in reader.points("kiosk_state", START_MS, LATER_MS)}
    assert [found[number] for number in range(1, len(texts) + 1)] == texts
    store.close()


def test_a_type_conflict_is_a_refusal_that_halving_narrows_to_its_points(influx: RunningInflux) -> None:
    """The bucket holds `steps` as text; only points that have the field conflict, and every other one is stored."""
    store, bucket, url = build_store(influx)
    line = f'wearable,area=x,device=x,site=x steps="many",boot=1i,seq=1i {START_MS}000000'
    parameters = {"bucket": bucket, "org": "haina", "precision": "ns"}
    headers = {"Authorization": f"Token {influx.token}"} if influx.token else {}
    answer = httpx.post(f"{influx.url}/api/v2/write", params=parameters, content=line, headers=headers)
    assert answer.status_code == 204
    points = build_points(30)
    with pytest.raises(StoreRefused, match="steps"):
        store.write("journal", 30, points)
    refused = write_halving(store, 30, points)
    assert refused == [point for point in points if point.measurement == "wearable"]
    with open_reader(url, influx.token or None) as reader:
        assert sum(1 for _ in reader.points("kiosk_state", START_MS, LATER_MS)) == 30 - len(refused)
    store.close()


def test_points_older_than_the_bucket_keeps_are_refused(influx: RunningInflux) -> None:
    store, _, _ = build_store(influx, keep_s=3_600)
    old = [replace(point, time_ms=1_000_000_000_000) for point in build_points(3)]
    with pytest.raises(StoreRefused, match=r"retention"):
        store.write("journal", 3, old)
    store.close()


def test_a_missing_bucket_is_waited_for_and_named(influx: RunningInflux) -> None:
    store = open_store(f"influxdb+{influx.url}/nowhere?org=haina", influx.token or None)
    with pytest.raises(StoreUnavailable, match="'nowhere'") as caught:
        store.write("journal", 3, build_points(3))
    assert "create the bucket" in str(caught.value)
    store.close()
    with (
        open_reader(f"influxdb+{influx.url}/nowhere?org=haina", influx.token or None) as reader,
        pytest.raises((QueryRefused, StoreUnreachable)),
    ):
        reader.run(COUNT, START_MS, LATER_MS)


def _assert_tells_to_mend_the_token(url: str, token: str) -> None:
    store = open_store(url, token)
    with pytest.raises(StoreUnavailable, match="HAINA_INFLUX_TOKEN") as unwritten:
        store.write("journal", 3, build_points(3))
    store.close()
    with open_reader(url, token) as reader:
        with pytest.raises(StoreUnreachable, match="HAINA_INFLUX_TOKEN") as unread:
            reader.run(COUNT, START_MS, LATER_MS)
        with pytest.raises(StoreUnreachable, match="HAINA_INFLUX_TOKEN"):
            list(reader.points("wearable", START_MS, LATER_MS))
        said = "".join(map(repr, (store, reader, unwritten.value, unread.value)))
    assert token not in said


def test_a_wrong_token_is_waited_for_and_never_said(influx: RunningInflux) -> None:
    if influx.version == 1:
        pytest.skip("this InfluxDB 1 asks for no token; another test has one that does")
    _, _, url = build_store(influx)
    _assert_tells_to_mend_the_token(url, "a-wrong-token-that-nobody-may-see")


def test_an_influxdb_1_that_asks_for_a_user_is_waited_for() -> None:
    with influxdb_1(["auth-enabled = true"]) as influx:
        httpx.post(f"{influx.url}/query", params={"q": "CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES"})
        _assert_tells_to_mend_the_token(f"influxdb+{influx.url}/town", "a-wrong-token-that-nobody-may-see")


def test_an_influxdb_that_went_away_is_waited_for() -> None:
    with influxdb_1() as influx:
        store, _, _ = build_store(influx)
        store.write("journal", 3, build_points(3))
        assert influx.process is not None
        influx.process.kill()
        influx.process.wait()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.write("journal", 6, build_points(3, first=4))
        store.close()


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes, delay_s: float = 0) -> Iterator[str]:
    """A server that answers everything alike."""
    released = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            released.wait(delay_s)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            released.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "retry_after_s"),
    [
        (429, {"Retry-After": "17"}, 17.0),
        (503, {"Retry-After": "2.5"}, 2.5),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        (503, {"Retry-After": "soon"}, None),
        (500, {}, None),
        (502, {}, None),
    ],
    ids=str,
)
def test_an_overloaded_influxdb_is_left_alone_for_as_long_as_it_says(
    status: int, headers: dict[str, str], retry_after_s: float | None
) -> None:
    with answering(status, headers, b'{"code": "unavailable", "message": "too much"}') as url:
        store = open_store(f"influxdb+{url}/town?org=haina", "secret-token")
        with pytest.raises(StoreUnavailable, match="too much") as caught:
            store.write("journal", 3, build_points(3))
        assert caught.value.retry_after_s == retry_after_s
        assert "secret-token" not in str(caught.value)
        store.close()


def test_whoever_answers_otherwise_than_influxdb_has_written_nothing() -> None:
    for status in (200, 302):
        with answering(status, {"Location": "/"}, b"welcome") as url:
            store = open_store(f"influxdb+{url}/town?org=haina")
            with pytest.raises(StoreUnavailable, match=f"no InfluxDB .{status}, not 204"):
                store.write("journal", 3, build_points(3))
            store.close()


TLS_EXPECTED = b"Client sent an HTTP request to an HTTPS server.\n"
NGINX = b"<html><head><title>%s</title></head><body><center>nginx</center></body></html>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, TLS_EXPECTED),
        (400, NGINX % b"400 The plain HTTP request was sent to HTTPS port"),
        (413, NGINX % b"413 Request Entity Too Large"),
        (422, b'{"error": "unprocessable", "message": "not by this gateway"}'),
        (400, b'{"code": "BadRequest", "message": "not by this gateway"}'),
        (400, b'["invalid"]'),
    ],
    ids=str,
)
def test_what_influxdb_never_said_refuses_no_point(status: int, body: bytes) -> None:
    with answering(status, {}, body) as url:
        store = open_store(f"influxdb+{url}/town?org=haina")
        with pytest.raises(StoreUnavailable, match=f"not InfluxDB itself .{status}: .* correct the store URL"):
            store.write("journal", 1, build_points(1))
        store.close()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {"X-Influxdb-Version": "1.8.10"}, b'{"error": "partial write: it says"}'),
        (413, {"X-Influxdb-Version": "1.8.10"}, b'{"error": "it says"}'),
        (400, {}, b'{"code": "invalid", "message": "it says"}'),
        (413, {}, b'{"code": "request too large", "message": "it says"}'),
        (422, {}, b'{"code": "unprocessable entity", "message": "it says"}'),
        (400, {}, b'{"error": "partial write of line protocol occurred: it says", "data": [{"line_number": 1}]}'),
    ],
    ids=str,
)
def test_what_influxdb_says_of_points_refuses_them_whichever_version_says_it(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    with answering(status, headers, body) as url:
        store = open_store(f"influxdb+{url}/town?org=haina")
        with pytest.raises(StoreRefused, match=f"refused points .{status}.: .*it says"):
            store.write("journal", 1, build_points(1))
        store.close()


def test_a_body_too_large_is_halved_whoever_finds_it_so() -> None:
    points = build_points(100)
    with influxdb_1(["max-body-size = 2000"]) as influx:
        store, _, url = build_store(influx)
        with pytest.raises(StoreRefused, match="413"):
            store.write("journal", 100, points)
        assert write_halving(store, 100, points) == []
        assert counted(influx, url) == 100
        store.close()
    with answering(413, {}, NGINX % b"413 Request Entity Too Large") as url:
        store = open_store(f"influxdb+{url}/town?org=haina")
        with pytest.raises(StoreRefused, match="413"):
            store.write("journal", 2, points[:2])
        with pytest.raises(StoreUnavailable, match="413"):
            store.write("journal", 1, points[:1])
        store.close()


def test_a_connection_that_was_closed_while_idle_is_opened_anew(influx: RunningInflux) -> None:
    store, _, url = build_store(influx)
    store.write("journal", 3, build_points(3))
    assert isinstance(store, InfluxStore)
    assert store._connection.sock is not None
    store._connection.sock.shutdown(socket.SHUT_RDWR)
    store.write("journal", 6, build_points(3, first=4))
    assert counted(influx, url) == 6
    store.close()


def test_an_influxdb_that_takes_too_long_is_waited_for() -> None:
    with answering(204, {}, b"", delay_s=5) as url:
        store = InfluxStore(StoreURL.parse(f"influxdb+{url}/town?org=haina"), None, timeout_s=0.1)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.write("journal", 3, build_points(3))
        store.close()


def test_a_proxys_page_becomes_one_short_sentence() -> None:
    with answering(502, {"Content-Type": "text/html"}, b"<html>\n" + b"bad gateway " * 1000) as url:
        store = open_store(f"influxdb+{url}/town?org=haina")
        with pytest.raises(StoreUnavailable) as caught:
            store.write("journal", 3, build_points(3))
        assert len(str(caught.value)) < 500
        assert "\n" not in str(caught.value)
        store.close()


def test_something_else_at_the_address_is_no_store() -> None:
    with answering(200, {"Content-Type": "text/html"}, b"<html>welcome</html>") as url:
        for kind, path in (("influxdb", "/town"), ("duckdb", "")):
            with (
                open_reader(f"{kind}+{url}{path}") as reader,
                pytest.raises(StoreUnreachable, match="not the store it should be"),
            ):
                reader.run(COUNT, START_MS, LATER_MS)


def test_a_site_is_forgotten_and_its_namesake_elsewhere_is_not(influx: RunningInflux) -> None:
    store, _, url = build_store(influx)
    store.write("journal", 100, build_points(100))
    store.write("journal", 200, build_points(100, area="changfeng"))
    store.close()
    with open_reader(url, influx.token or None) as reader:
        assert reader.forget("home-1", "caoyang") == 67
        assert reader.forget("home-1", "caoyang") == 0
        kept = [(point.area, point.site) for point in reader.points("wearable", START_MS, LATER_MS)]
        assert kept == [("changfeng", "home-1")] * 67
    assert counted(influx, url) == 133


def test_what_others_said_of_a_site_is_forgotten_and_nothing_else_of_them(influx: RunningInflux) -> None:
    store, _, url = build_store(influx)
    homes = ("home-1", "home-11", None)
    points = [
        Point(
            "crew_member",
            "caoyang",
            "nurses",
            "nurse-1",
            START_MS,
            1,
            seq,
            (1, 121.4, 31.2, None, homes[seq % 3], None, "nurse"),
        )
        for seq in range(1, 31)
    ]
    store.write("journal", 30, points)
    store.close()
    with open_reader(url, influx.token or None) as reader:
        assert (
            sum(batch.num_rows for batch in reader.batches("crew_member", START_MS, LATER_MS, destination="home-1"))
            == 10
        )
        assert reader.forget("home-1", "caoyang") == 10
        assert reader.forget("home-1") == 0
        kept = [point.values[4] for point in reader.points("crew_member", START_MS, LATER_MS)]
    assert sorted(map(str, kept)) == ["None"] * 10 + ["home-11"] * 10


def test_hours_are_rolled_up_beside_the_points_again_with_what_came_late(influx: RunningInflux) -> None:
    """Count, mean, min and max as they are by hand; the hour that has not ended waits; then raw points have a term."""
    store, bucket, url = build_store(influx)
    points = build_points(2_000, devices=2)  # a reading each 10 s and device: nearly three hours
    store.write("journal", 1_990, [point for point in points if point.seq % 200])
    hourly = Hourly(url, influx.token or None)
    hourly.prepare(0)
    assert hourly.roll_up(late_s=0) > 0
    store.write("journal", 2_000, [point for point in points if not point.seq % 200])
    hourly.roll_up(late_s=7_200)
    hourly.keep_raw(400 * 86_400)
    hourly.close()
    store.close()
    steps = [
        int(str(point.values[1]))
        for point in points
        if point.measurement == "wearable" and START_MS <= point.time_ms < START_MS + 3_600_000
    ]
    found = influx.query(f"{bucket}-hourly", 'SELECT * FROM "wearable" GROUP BY device')
    rows = [dict(zip(line["columns"], row, strict=True)) for line in found for row in line["values"]]  # type: ignore
    assert sorted({row["time"] for row in rows}) == [(START_MS + hour * 3_600_000) * 10**6 for hour in (0, 1)]
    first = [row for row in rows if row["time"] == START_MS * 10**6]
    assert sum(row["steps_count"] for row in first) == len(steps)
    assert sum(row["steps_mean"] * row["steps_count"] for row in first) == pytest.approx(sum(steps))
    assert {row["steps_min"] for row in first} | {row["worn_max"] for row in first} == {0, 1}
    assert kept_s(influx, bucket) == 400 * 86_400
    assert kept_s(influx, f"{bucket}-hourly") == 0


def test_questions_are_answered_from_points_and_hours_together_once_retention_has_taken_points(
    influx: RunningInflux,
) -> None:
    """The same values as from points alone, for what hours can answer; for the rest it is a gap."""
    store, bucket, url = build_store(influx)
    points = build_points(4_000, devices=2)  # a reading each 10 s and device: five hours and a half
    store.write("journal", len(points), points)
    fields = [("wearable", "worn"), ("wearable", "steps"), ("wearable", "heart_rate_bpm"), ("kiosk_state", "fault")]
    here = (Filter("area", "=", (points[0].area,)),)
    queries = [
        Query(name, field, aggregate, window_s, group, here, across)
        for (name, field), aggregate, (window_s, group), across in itertools.product(
            fields, OF_HOURS, ((None, ()), (3_600, ("site",)), (7_200, ("device",))), (None, Aggregate.SUM)
        )
        if field != "fault" or aggregate is Aggregate.COUNT
    ]
    minutes = [Query("wearable", "steps", Aggregate.MEAN, 60), Query("wearable", "steps", Aggregate.P95, 3_600)]

    def ask(start_ms: int) -> list[list[Series]]:
        with open_reader(url, influx.token or None) as reader:
            answers = reader.run_many([*queries, *minutes], start_ms, LATER_MS)
        assert not any(isinstance(answer, QueryRefused) for answer in answers), answers
        return answers  # type: ignore[return-value]

    starts = (START_MS, START_MS + 2 * HOUR_MS)
    before = [ask(start_ms) for start_ms in starts]
    hourly = Hourly(url, influx.token or None)
    hourly.prepare(0)
    assert hourly.roll_up(late_s=0) > 0
    assert [ask(start_ms) for start_ms in starts] == before, "as long as all points are there, they alone answer"
    whole = time_range(START_MS, START_MS + 4 * HOUR_MS)
    for query in (query for query in queries if query.window_s == 7_200):
        hours = compile_from_hours(query, f"{bucket}-hourly", time_range=whole, window="7200s")
        of_hours, of_points = (
            influx.query(bucket, hours),
            influx.query(bucket, compile_influxql(query, time_range=whole)),
        )
        assert [line["tags"] for line in of_hours] == [line["tags"] for line in of_points] != [], query
        for line, expected in zip(of_hours, of_points, strict=True):
            assert line["values"] == [pytest.approx(row) for row in expected["values"]], query  # type: ignore[attr-defined]
    gone_ns = (START_MS + 2 * HOUR_MS + HOUR_MS // 3) * 10**6  # in the middle of an hour
    influx.query(bucket, f"DELETE WHERE time < {gone_ns}", post=True)
    hourly.roll_up(late_s=3_600)
    hourly.close()
    for start_ms, answers in zip(starts, before, strict=True):
        now = ask(start_ms)
        for query, found, answer in zip(queries, now, answers, strict=False):
            assert [(line.tags, line.times_ms) for line in found] == [(line.tags, line.times_ms) for line in answer]
            for line, expected in zip(found, answer, strict=True):
                assert line.values == pytest.approx(expected.values), query
                assert [*map(type, line.values)] == [*map(type, expected.values)], query
        assert all(line.times_ms[0] >= gone_ns // 10**6 - HOUR_MS for answer in now[len(queries) :] for line in answer)
    influx.query(bucket, f"DELETE WHERE time < {LATER_MS}000000", post=True)
    [steps] = ask(START_MS)[queries.index(Query("wearable", "steps", Aggregate.SUM, HOUR_MS // 1000, ("site",), here))]
    assert steps.times_ms == [START_MS + hour * HOUR_MS for hour in range(5)], "all but the hour that had not ended"
    store.close()


def kept_s(influx: RunningInflux, bucket: str) -> int:
    if influx.version == 1:
        [policies] = influx.query(bucket, f'SHOW RETENTION POLICIES ON "{bucket}"')
        return int(policies["values"][0][1].partition("h")[0].rstrip("s")) * 3_600  # type: ignore[index]
    headers = {"Authorization": f"Token {influx.token}"}
    [found] = httpx.get(f"{influx.url}/api/v2/buckets", params={"name": bucket}, headers=headers).json()["buckets"]
    return sum(rule["everySeconds"] for rule in found["retentionRules"])
