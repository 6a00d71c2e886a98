"""The audit finds what a store lost, doubled, altered or made up, and nothing else."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import httpx
import pytest
from msgspec.structs import replace

from collector.audit import AuditReport, audit
from collector.stores import open_store
from haina.contract import Point, line_protocol, measurement, point_hash, telemetry_payload
from haina.contract.measurement import Value
from haina.ledger import SentLedger, forget_site
from haina.query.reader import open_reader
from tests.haina_store import RunningStore, haina_store, run_store_command
from tests.influx import RunningInflux
from tests.stores.points import build_points

BOOTS = itertools.count(1)
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def write_ledger(path: Path, points: Sequence[Point]) -> Path:
    """The ledger of a run that sent these points."""
    with SentLedger(path, run="r-1", boot=points[0].boot) as ledger:
        record(ledger, points)
    return path


def record(ledger: SentLedger, points: Sequence[Point]) -> None:
    for point in sorted(points, key=lambda point: point.seq):
        declared = measurement(point.measurement)
        present: dict[str, Value] = {
            name: value for name, value in zip(declared.field_names, point.values, strict=True) if value is not None
        }
        payload = telemetry_payload(point.time_ms, point.boot, point.seq, present)
        ledger.device(point.area, point.site, point.device).record(
            point.time_ms, point.seq, point_hash(point.measurement, payload)
        )


def build_run(devices: int = 4, readings: int = 60) -> list[Point]:
    """Devices that each number their own readings from 1, as gateways do; a boot and milliseconds no other run has."""
    boot = next(BOOTS)
    readings_of_one = build_points(readings, devices=1, boot=boot)
    return [
        replace(point, site="home-1", device=f"device-{number}", time_ms=point.time_ms + boot)
        for number in range(devices)
        for point in readings_of_one
    ]


@dataclass
class Kept:
    """A store with a run in it, and how to do it harm behind everybody's back."""

    url: str
    token: str | None
    delete: Callable[[Point], None]
    put: Callable[[Point, int], None]  # a point, and how many nanoseconds later its key says it is

    def audit(self, *ledgers: Path, settle_s: float = 1.0) -> AuditReport:
        with open_reader(self.url, self.token) as reader:
            return audit(ledgers, reader, settle_s=settle_s)

    def write(self, points: Sequence[Point]) -> None:
        store = open_store(self.url, self.token)
        store.write(f"journal-{points[0].boot}", len(points), points)
        store.close()


def _influx_kept(influx: RunningInflux) -> Kept:
    bucket = f"audit-{next(BOOTS)}"
    url = influx.create_bucket(bucket)

    def delete(point: Point) -> None:
        time_ns = line_protocol(point).rpartition(" ")[2]
        where = f"device = '{point.device}' AND time = {time_ns}"
        influx.query(bucket, f'DELETE FROM "{point.measurement}" WHERE {where}', post=True)

    def put(point: Point, later_ns: int) -> None:
        line, _, time_ns = line_protocol(point).rpartition(" ")
        answer = httpx.post(
            f"{influx.url}/api/v2/write",
            params={"bucket": bucket, "org": "haina", "precision": "ns"},
            content=f"{line} {int(time_ns) + later_ns}",
        )
        assert answer.status_code == 204, answer.text

    return Kept(url, influx.token or None, delete, put)


def _duckdb_kept(store: RunningStore) -> Kept:
    path = str(store.folder / "haina.duckdb")

    def change(sql: str, parameters: list[object]) -> None:
        store.stop()
        with duckdb.connect(path) as file:
            changed = file.execute(sql, parameters).fetchone()
            assert changed == (1,)
        store.restart()

    def delete(point: Point) -> None:
        key = [point.device, point.boot, point.seq]
        change(f'DELETE FROM "{point.measurement}" WHERE device = ? AND boot = ? AND seq = ?', key)

    def put(point: Point, later_ns: int) -> None:
        if not later_ns:
            delete(point)
        time_ns = int(line_protocol(point).rpartition(" ")[2]) + later_ns
        values = [int(value) if isinstance(value, bool) else value for value in point.values]
        row: list[object] = [time_ns, point.area, point.site, point.device, point.boot, point.seq, *values]
        change(f'INSERT INTO "{point.measurement}" VALUES ({", ".join("?" * len(row))})', row)

    return Kept(store.url, None, delete, put)


@pytest.fixture(scope="module")
def kept_in_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with haina_store(tmp_path_factory.mktemp("store"), "--keep-days", "0") as store:
        yield _duckdb_kept(store)


@pytest.fixture(params=["duckdb", "influxdb-1"])
def kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "duckdb":
        found: Kept = request.getfixturevalue("kept_in_duckdb")
        return found
    return _influx_kept(request.getfixturevalue("influx_1"))


def counts(report: AuditReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in ("lost", "extra", "duplicates", "altered")}


def test_a_store_that_kept_everything_is_clean(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    kept.write(points)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert report.clean
    assert counts(report) == {"lost": 0, "extra": 0, "duplicates": 0, "altered": 0}
    assert (report.sent, report.stored, report.devices, report.worst) == (240, 240, 4, ())


def test_a_deleted_row_is_lost(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    kept.write(points)
    victim = points[70]
    kept.delete(victim)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert counts(report) == {"lost": 1, "extra": 0, "duplicates": 0, "altered": 0}
    (offence,) = report.worst
    assert (offence.device, offence.boot, offence.minute_ms) == (
        victim.device,
        victim.boot,
        victim.time_ms - victim.time_ms % MINUTE_MS,
    )
    assert (offence.sent, offence.stored, offence.lost) == (6, 5, 1)
    assert report.unchecked == 5, "of the others in that minute nothing but their number is known"


def test_an_altered_value_is_altered(kept: Kept, tmp_path: Path) -> None:
    """By the least that its field can change."""
    points = build_run()
    kept.write(points)
    victim = next(point for point in points[100:] if point.measurement == "wearable")
    worn, steps, battery_pct, *body = victim.values
    assert battery_pct == 88.5
    kept.put(replace(victim, values=(worn, steps, 88.6, *body)), 0)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert counts(report) == {"lost": 0, "extra": 0, "duplicates": 0, "altered": 1}
    (offence,) = report.worst
    assert (offence.device, offence.altered) == (victim.device, True)


def test_a_doubled_row_is_a_duplicate(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    kept.write(points)
    kept.put(points[33], 1)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert counts(report) == {"lost": 0, "extra": 0, "duplicates": 1, "altered": 0}
    assert report.worst[0].device == points[33].device


def test_a_row_nobody_sent_is_extra(kept: Kept, tmp_path: Path) -> None:
    """From a device nobody knows, and from a known one with a number it never reached."""
    points = build_run()
    kept.write(points)
    kept.put(replace(points[0], device="ghost"), 5)
    kept.put(replace(points[59], seq=61), 6)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert counts(report) == {"lost": 0, "extra": 2, "duplicates": 0, "altered": 0}
    assert {offence.device for offence in report.worst} == {"ghost", points[59].device}


def test_a_reading_in_place_of_another_is_lost_and_extra(kept: Kept, tmp_path: Path) -> None:
    """The minute's count is right; the sequence numbers give it away."""
    points = build_run()
    kept.write(points)
    kept.delete(points[20])
    kept.put(replace(points[20], seq=1_000), 7)
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert counts(report) == {"lost": 1, "extra": 1, "duplicates": 0, "altered": 0}


@pytest.mark.parametrize("under_way", [False, True])
def test_a_reading_with_a_wrong_time_is_extra_there_however_far_away(
    kept: Kept, tmp_path: Path, under_way: bool
) -> None:
    """It is lost where it belongs; one that is there as well is extra alone. Also of a boot that said nothing."""
    points, others = build_run(), build_run(devices=7)
    silent_boot = next(BOOTS)
    stored = [
        *points,
        replace(points[33], time_ms=points[33].time_ms + DAY_MS),
        replace(points[34], time_ms=points[34].time_ms + DAY_MS, boot=silent_boot),
    ]
    for number, days in ((10, -10_000), (70, -1), (130, 0.5), (190, 10_000)):
        stored[number] = replace(points[number], time_ms=points[number].time_ms + int(days * DAY_MS))
    kept.write([*stored, *others])
    SentLedger(tmp_path / "run.sent", run="r-1", boot=silent_boot).close()
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=points[0].boot) as ledger:
        record(ledger, points)
        (ledger.flush if under_way else ledger.close)()
        report = kept.audit(ledger.path)
    assert counts(report) == {"lost": 4, "extra": 6, "duplicates": 0, "altered": 0}
    assert (report.under_way, report.left_out) == (under_way, 0)


def test_the_store_itself_leaves_out_other_runs(kept: Kept) -> None:
    points, others = build_run(devices=2), build_run(devices=7)
    kept.write(points)
    kept.write(others)
    with open_reader(kept.url, kept.token) as reader:
        for run, readings in ((points, 120), (others, 420)):
            boots = range(run[0].boot, run[0].boot + 1)
            assert readings == sum(
                batch.num_rows
                for name in ("wearable", "kiosk_state")
                for batch in reader.batches(name, 0, 9 * 10**12, boots)
            )


def test_other_runs_in_the_store_are_left_out(kept: Kept, tmp_path: Path) -> None:
    points, others = build_run(), build_run(devices=7)
    kept.write(points)
    kept.write(others)
    assert kept.audit(write_ledger(tmp_path / "run.sent", points)).clean


def test_several_ledgers_are_audited_as_one(kept: Kept, tmp_path: Path) -> None:
    points, others = build_run(), build_run(devices=7)
    kept.write(points)
    kept.write(others)
    report = kept.audit(write_ledger(tmp_path / "1.sent", points), write_ledger(tmp_path / "2.sent", others))
    assert report.clean
    assert (report.sent, report.devices) == (660, 7)


def test_an_empty_store_lost_everything(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    report = kept.audit(write_ledger(tmp_path / "run.sent", points))
    assert (report.lost, report.stored, report.clean) == (240, 0, False)
    assert len(report.worst) == 20
    assert report.offences == report.minutes == 44


@pytest.mark.parametrize("keep_s", [7_200, None])
def test_what_is_past_the_buckets_term_is_not_compared_and_not_called_lost(
    influx: RunningInflux, tmp_path: Path, keep_s: int | None
) -> None:
    """Ten minutes of three hours ago, which InfluxDB does not have, and ten of just now, which it does."""
    url = influx.create_bucket(f"audit-{next(BOOTS)}", keep_s)
    points = build_run()
    later_ms = int(time.time() * 1000) - 3_600_000 - points[0].time_ms
    recent = [replace(point, time_ms=point.time_ms + later_ms) for point in points]
    boot = next(BOOTS)
    past = [replace(point, time_ms=point.time_ms - 7_200_000, boot=boot) for point in recent]
    ledgers = [write_ledger(tmp_path / "past.sent", past), write_ledger(tmp_path / "recent.sent", recent)]
    store = open_store(url, influx.token or None)
    store.write("journal", len(recent), recent)
    store.close()
    with open_reader(url, influx.token or None) as reader:
        report = audit(ledgers, reader)
    if keep_s:
        assert (report.clean, report.sent, report.lost) == (True, 240, 0)
        assert 40 <= report.gone <= 48
        assert past[-1].time_ms < report.gone_before_ms < recent[0].time_ms
    else:
        assert (report.clean, report.sent, report.lost, report.gone) == (False, 480, 240, 0)


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Let something happen once an audit has compared for the first time, and waits before it asks again."""
    wait, to_do = time.sleep, [act]

    def act_and_wait(seconds: float) -> None:
        while to_do:
            to_do.pop()()
        wait(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collector.audit.time.sleep", act_and_wait)
        yield


def test_a_running_towns_ledger_that_is_behind_the_store_is_waited_for(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    kept.write(points)
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=points[0].boot) as ledger:
        record(ledger, points[:-1])
        ledger.flush()
        record(ledger, points[-1:])
        with meanwhile(ledger.flush):
            report = kept.audit(ledger.path, settle_s=10)
    assert (report.clean, report.sent, report.stored, report.left_out) == (True, 240, 240, 0)
    newest_ms = max(point.time_ms for point in points)
    assert (report.under_way, report.up_to_ms) == (True, newest_ms - newest_ms % MINUTE_MS)


def test_what_a_running_town_said_is_waited_for_while_it_is_on_its_way_to_the_store(kept: Kept, tmp_path: Path) -> None:
    points = build_run()
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=points[0].boot) as ledger:
        record(ledger, points)
        ledger.flush()
        with meanwhile(lambda: kept.write(points)):
            report = kept.audit(ledger.path, settle_s=10)
    assert (report.clean, report.sent, report.stored, report.left_out) == (True, 240, 240, 0)


def test_what_a_running_town_said_after_the_audit_began_is_for_the_next_one(kept: Kept, tmp_path: Path) -> None:
    """The store is minutes ahead of the ledger, which then catches up; a reading that stays unsent is extra at once."""
    points = build_run(devices=1)
    kept.write([*points, replace(points[59], time_ms=points[59].time_ms + DAY_MS)])
    later_ms = points[30].time_ms - points[30].time_ms % MINUTE_MS
    before = [point for point in points if point.time_ms < later_ms]
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=points[0].boot) as ledger:
        record(ledger, before)
        ledger.flush()
        record(ledger, points[len(before) :])
        with meanwhile(ledger.flush):
            report = kept.audit(ledger.path, settle_s=3)
    assert counts(report) == {"lost": 0, "extra": 1, "duplicates": 0, "altered": 0}
    assert (report.sent, report.offences, report.left_out) == (len(before), 1, 0)
    assert report.up_to_ms == later_ms - MINUTE_MS


def test_what_a_running_towns_store_lost_doubled_altered_or_made_up_is_found(kept: Kept, tmp_path: Path) -> None:
    """It stays so; and what nobody sent is found in a boot that says nothing else in those minutes, too."""
    points = build_run(devices=5)
    kept.write(points)
    kept.delete(points[30])
    kept.put(points[90], 1)
    altered = next(point for point in points[150:] if point.measurement == "wearable")
    worn, steps, _, *body = altered.values
    kept.put(replace(altered, values=(worn, steps, 88.6, *body)), 0)
    kept.put(replace(points[200], device="ghost"), 5)
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=points[0].boot) as ledger:
        record(ledger, points)
        ledger.flush()
        report = kept.audit(ledger.path)
    assert counts(report) == {"lost": 1, "extra": 1, "duplicates": 1, "altered": 1}
    assert (report.offences, report.left_out) == (4, 0)


def test_what_is_left_out_of_a_running_town_is_compared_later(kept: Kept, tmp_path: Path) -> None:
    """One minute goes on changing, and hides a loss; the next audit finds it. Other minutes are compared at once."""
    points = build_run(devices=1, readings=6)
    *others, lost = points
    changing = [replace(lost, seq=seq, time_ms=lost.time_ms + seq) for seq in range(7, 400)]
    ended = threading.Event()
    said = 0

    def go_on() -> None:
        nonlocal said
        store = open_store(kept.url, kept.token)
        while not ended.wait(0.1):
            store.write(f"more-{lost.boot}", said + 1, [changing[said]])
            said += 1
        store.close()

    calm = [replace(point, device="calm") for point in points]
    kept.write([*calm, *others])
    with SentLedger(tmp_path / "run.sent", run="r-1", boot=lost.boot) as ledger:
        record(ledger, [*calm, *points])
        ledger.flush()
        going_on = threading.Thread(target=go_on)
        going_on.start()
        time.sleep(0.5)
        try:
            report = kept.audit(ledger.path, settle_s=2)
        finally:
            ended.set()
            going_on.join()
        assert (report.clean, report.under_way, report.left_out) == (True, True, 1)
        assert report.left_out_readings > 6
        record(ledger, changing[:said])
        ledger.flush()
        at_rest = kept.audit(ledger.path)
        assert (at_rest.under_way, at_rest.left_out, at_rest.minutes) == (True, 0, report.minutes + 1)
        assert counts(at_rest) == {"lost": 1, "extra": 0, "duplicates": 0, "altered": 0}
    over = kept.audit(ledger.path)
    assert (over.under_way, over.left_out, over.up_to_ms) == (False, 0, 0)
    assert counts(over) == counts(at_rest)


def test_a_run_that_is_over_is_not_waited_for(kept_in_duckdb: Kept, tmp_path: Path) -> None:
    points = build_run()
    ledger = write_ledger(tmp_path / "run.sent", points)
    began_s = time.monotonic()
    report = kept_in_duckdb.audit(ledger, settle_s=60)
    assert time.monotonic() - began_s < 30
    assert (report.lost, report.left_out, report.under_way) == (240, 0, False)


def run_audit(*arguments: str) -> tuple[int, str, str]:
    process = run_store_command("audit", *arguments)
    printed, complained = process.communicate(timeout=90)
    return process.returncode, printed, complained


def test_the_command_says_yes_no_or_why_not(kept_in_duckdb: Kept, tmp_path: Path) -> None:
    """Exit codes 0, 1 and 2; JSON and a table; one sentence when it cannot compare."""
    points = build_run()
    kept_in_duckdb.write(points)
    ledger = str(write_ledger(tmp_path / "run.sent", points))
    store = ("--store", kept_in_duckdb.url)
    code, printed, _ = run_audit("--sent", ledger, *store, "--json")
    assert (code, json.loads(printed)["clean"], json.loads(printed)["sent"]) == (0, True, 240)

    more = [*points, replace(points[0], seq=61, time_ms=points[0].time_ms + 3_600_000)]
    ledger = str(write_ledger(tmp_path / "more.sent", more))
    code, printed, complained = run_audit("--sent", ledger, *store)
    assert code == 1
    assert "1 lost" in printed
    assert "device-0" in printed
    assert "under way" not in printed + complained
    with SentLedger(ledger, run="r-1", boot=points[0].boot):
        code, printed, complained = run_audit("--sent", ledger, *store)
    assert code == 1
    assert "The run is under way: compared up to 20" in printed
    assert "left out 0 device-minutes (0 readings)" in printed
    assert "1 lost" in printed
    assert "haina status" in complained
    assert len(complained.splitlines()) == 1

    (tmp_path / "no.sent").write_text("nonsense\n")
    for arguments, sentence in (
        (("--sent", ledger, "--store", "duckdb+http://127.0.0.1:1"), "does not answer"),
        (("--sent", ledger, "--store", "null:"), "keeps nothing"),
        (("--sent", str(tmp_path / "no.sent"), *store), "no.sent:1"),
    ):
        code, _, complained = run_audit(*arguments)
        assert code == 2
        assert sentence in complained
        assert len(complained.splitlines()) == 1
    assert run_audit("--sent", str(tmp_path / "absent.sent"), *store)[0] == 2


def test_an_audit_that_compared_nothing_is_no_pass(kept_in_duckdb: Kept, tmp_path: Path) -> None:
    """Whatever the reason: no reading in the ledger, forgotten, gone by retention."""
    points = build_run()
    empty = tmp_path / "empty.sent"
    empty.touch()
    SentLedger(tmp_path / "silent.sent", run="r-1", boot=next(BOOTS)).close()
    forgotten = write_ledger(tmp_path / "forgotten.sent", points)
    forget_site(forgotten, "home-1")
    assert not kept_in_duckdb.audit(empty).clean
    for ledger, why in (
        (empty, "holds no reading"),
        (tmp_path / "silent.sent", "holds no reading"),
        (forgotten, "holds only 4 devices"),
    ):
        code, printed, complained = run_audit("--sent", str(ledger), "--store", kept_in_duckdb.url)
        assert (code, printed) == (2, "")
        assert f"nothing to compare: {ledger} {why}" in complained
        assert len(complained.splitlines()) == 1


def test_a_ledger_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """Its readings would be called lost."""
    ledger = write_ledger(tmp_path / "run.sent", build_run())
    code, _, complained = run_audit("--sent", str(ledger), "--sent", f"{tmp_path}/../{tmp_path.name}/run.sent")
    assert (code, complained) == (2, f"haina: --sent {ledger} is given twice; give it once\n")
