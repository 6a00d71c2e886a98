"""The checks pass on the models as they are, and fail on models that are a little wrong."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simpy
from simpy.resources.base import Put
from typer.testing import CliRunner

from haina.contract.care import ROOMS
from simulator.calibration import halls
from simulator.care import CareParameters
from simulator.care.rhythm import shipped
from simulator.centres import CentreParameters, arrivals
from simulator.centres.kiosk import Kiosks
from simulator.crew import Crew
from simulator.governance import Station
from simulator.randomness import CohortStream, Stream
from simulator.validation import arrivals as arrival_checks
from simulator.validation import inference, laboratory, models, theory
from simulator.validation.checks import CHECKS, run
from simulator.validation.command import app
from simulator.validation.finding import Check, Finding, LeftOut, Outcome, Settings
from simulator.validation.little import compare, watch_slots
from simulator.validation.report import html, json_text

QUICK = Settings(quick=True)
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    arrival_checks.record.cache_clear()
    models.simulated.cache_clear()


def outcome(name: str, settings: Settings = QUICK) -> Outcome:
    return next(run([BY_NAME[name]], settings))


def failed(found: Outcome) -> set[str]:
    return {finding.what for finding in found.findings if finding.verdict == "fail"}


NEEDS_MORE = {"homes", "recordings", "recorded-halls"}

# -- the models as they are -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in NEEDS_MORE])
def test_the_models_pass_every_quick_check(name: str) -> None:
    found = outcome(name)
    assert found.findings
    assert failed(found) == set()


def test_the_same_seed_finds_the_same_and_another_seed_something_else() -> None:
    first, again = outcome("machine-repair"), outcome("machine-repair")
    other = outcome("machine-repair", Settings(seed=2, quick=True))
    assert first.findings == again.findings
    assert first.findings[0].measured != other.findings[0].measured


@pytest.mark.parametrize(
    ("name", "why"), [("homes", "without --quick"), ("recordings", "HAINA_DATA"), ("ciw", "pip install ciw")]
)
def test_a_check_that_cannot_be_made_says_why_and_does_not_pass(name: str, why: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("simulator.validation.ciw_network.importlib.util.find_spec", lambda _: None)
    found = outcome(name)
    assert found.verdict == "skipped"
    assert why in found.left_out


def test_a_folder_without_the_recordings_is_said(tmp_path: Path) -> None:
    found = outcome("recordings", Settings(recordings=tmp_path))
    assert "Activity.csv.gz" in found.left_out


# -- models that are a little wrong -----------------------------------------------------------------------------------

Break = Callable[[pytest.MonkeyPatch], None]


def times(owner: Any, method: str, factor: float) -> Break:
    """The law `owner.method` gives values `factor` times as large."""
    right = getattr(owner, method)

    def wrong(*args: Any, **options: Any) -> Any:
        return right(*args, **options) * factor

    return lambda patch: patch.setattr(owner, method, wrong)


def repairs_take(factor: float) -> Break:
    right = Kiosks._repair

    def wrong(self: Any, kiosk: Any, fault: Any, notice_s: Any, work_s: Any) -> Any:
        return right(self, kiosk, fault, notice_s, work_s * factor)

    return lambda patch: patch.setattr(Kiosks, "_repair", wrong)


def poisson_of(factor: float) -> Break:
    right = Stream.poisson
    return lambda patch: patch.setattr(Stream, "poisson", lambda self, mean: right(self, mean * factor))


def hours_differ(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(arrivals, "_factor", lambda draws, _: draws.gamma(1 / 0.35**2, 0.35**2))


def every_candidate_comes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "chance", lambda self, _: self.random() < 2)


def neighbours_share_streams(patch: pytest.MonkeyPatch) -> None:
    right = CohortStream.random
    patch.setattr(CohortStream, "random", lambda self: np.repeat(right(self)[::2], 2))


def sessions_do_not_vary(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "lognormal_mean_cv", lambda self, mean, cv: mean)


def intervals_are_too_narrow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(arrival_checks, "student_quantile", lambda *_: 1.3)


def fewer_turn_round(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(laboratory, "CentreParameters", lambda **told: CentreParameters(**{**told, "balk_at_persons": 2}))


def crews_forget_errands(patch: pytest.MonkeyPatch) -> None:
    right = Crew.release

    def wrong(self: Crew, member: Any) -> None:
        if self.waiting > 1:
            self.errands.pop(0)
        right(self, member)

    patch.setattr(Crew, "release", wrong)


def stations_keep_what_is_closed(patch: pytest.MonkeyPatch) -> None:
    right = Station.say

    def wrong(self: Station, incident: Any, stage: str, **more: Any) -> None:
        right(self, incident, stage, **more)
        if stage == "closed" and incident.number % 5 == 0:
            self.open[incident.number] = incident

    patch.setattr(Station, "say", wrong)


def who_gives_up_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Put, "cancel", lambda _: None)


SESSION = (laboratory.ExponentialSessions, "lognormal_mean_cv")
MODEL_SESSION = (Stream, "lognormal_mean_cv")


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        pytest.param("erlang-c", times(*SESSION, 1.07), id="M/M/c with sessions 7 % longer"),
        pytest.param("erlang-c", times(*SESSION, 0.93), id="M/M/c with sessions 7 % shorter"),
        pytest.param("erlang-b", times(*SESSION, 1.1), id="M/M/c/c with sessions 10 % longer"),
        pytest.param("finite-queue", times(*SESSION, 1.1), id="M/M/c/K with sessions 10 % longer"),
        pytest.param("finite-queue", fewer_turn_round, id="M/M/c/K with a longer queue"),
        pytest.param("erlang-a", times(*SESSION, 1.1), id="M/M/c+M with sessions 10 % longer"),
        pytest.param("pollaczek-khinchine", times(*MODEL_SESSION, 1.05), id="M/G/1 with sessions 5 % longer"),
        pytest.param("pollaczek-khinchine", sessions_do_not_vary, id="M/G/1 with sessions of one length"),
        pytest.param("ciw", times(*MODEL_SESSION, 1.1), id="sessions 10 % longer than Ciw's"),
        pytest.param("kiosk-availability", repairs_take(1.1), id="kiosks repaired 10 % slower"),
        pytest.param("machine-repair", times(Stream, "exponential", 1.1), id="crews and machines 10 % slower"),
        pytest.param("little", crews_forget_errands, id="errands that are forgotten"),
        pytest.param("little", stations_keep_what_is_closed, id="closed incidents that stay on the desk"),
        pytest.param("little", who_gives_up_stays, id="impatient people who never leave the queue"),
        pytest.param("thinning", times(arrivals.Demand, "rate_per_s", 1.05), id="5 % more people"),
        pytest.param("thinning", hours_differ, id="hours that vary more than Poisson"),
        pytest.param("thinning", every_candidate_comes, id="no thinning"),
        pytest.param("infinite-servers", times(*MODEL_SESSION, 1.07), id="Mt/G/∞ with stays 7 % longer"),
        pytest.param("coverage", intervals_are_too_narrow, id="intervals too narrow"),
        pytest.param("coverage", times(*MODEL_SESSION, 1.1), id="intervals round a biased mean"),
        pytest.param("sampled-laws", times(Stream, "exponential", 1.05), id="exponential 5 % longer"),
        pytest.param("sampled-laws", times(Stream, "normal", 1.05), id="normal 5 % larger"),
        pytest.param("sampled-laws", times(Stream, "lognormal", 1.05), id="lognormal 5 % larger"),
        pytest.param("sampled-laws", times(Stream, "gamma", 1.05), id="gamma 5 % larger"),
        pytest.param("sampled-laws", times(Stream, "weibull", 1.05), id="Weibull 5 % longer"),
        pytest.param("sampled-laws", poisson_of(1.05), id="Poisson 5 % more"),
        pytest.param("streams", neighbours_share_streams, id="neighbours with one stream"),
    ],
)
def test_a_model_that_is_a_little_wrong_fails(name: str, break_it: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_it(patch)
        found = outcome(name)
    assert failed(found), [(f.what, f.distance, f.tolerance) for f in found.findings]


def test_a_monday_that_is_too_busy_misses_its_recorded_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "simulator.calibration.surroundings.CentreParameters",
        lambda **told: CentreParameters(**told, monday_factor=1.9),
    )
    assert failed(outcome("surroundings")) == {"arrivals monday factor"}


def test_homes_are_judged_by_the_half_they_were_not_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    anywhere = replace(shipped(), steps={room: (0.2,) * len(ROOMS) for room in ROOMS})
    monkeypatch.setattr(models, "hear_homes", partial(models.hear_homes, rhythm=anywhere))
    wrong = outcome("held-out-homes")
    assert "room to room: mean total variation" in failed(wrong)
    assert {finding.source for finding in wrong.findings} == {"TIHM, even homes, as committed"}
    monkeypatch.setattr(models, "shipped", lambda: replace(anywhere, source="fitted to all homes"))
    assert outcome("held-out-homes").left_out == "no homes are left to judge by: the rhythm is fitted to all homes"


def test_people_who_rise_twice_as_often_at_night_are_more_than_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    restless = CareParameters(night_trips_per_h=2 * CareParameters().night_trips_per_h)
    monkeypatch.setattr("simulator.calibration.homes.CareParameters", lambda: restless)
    assert "night bathroom visits" in failed(outcome("held-out-homes"))


def test_a_hall_whose_work_is_slower_waits_longer_than_was_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slower = halls.HALL.model_copy(update={"service_mean_s": halls.HALL.service_mean_s * 1.25})
    monkeypatch.setattr(halls, "HALL", slower)
    assert {"hall wait p75", "hall wait p90"} <= failed(outcome("halls"))


def test_somebody_forgotten_in_a_queue_breaks_littles_law() -> None:
    def watched(forgets: bool) -> Finding:
        env = simpy.Environment(initial_time=0.0)
        slots = simpy.PriorityResource(env, capacity=1)
        watch = watch_slots(slots)

        def customer(after_s: float) -> Any:
            yield env.timeout(after_s)
            turn = slots.request(priority=1)
            yield turn
            yield env.timeout(10)
            slots.release(turn)

        for number in range(8):
            env.process(customer(4.0 * number))
        env.run(until=30)
        if forgets:
            list.pop(watch.queue)
        env.run(until=200)
        assert watch.came > 3
        return compare("a queue", [watch], env.now)

    assert watched(forgets=False).verdict == "pass"
    assert watched(forgets=True).verdict == "fail"


# -- theory and statistics --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (3, 2.1), (20, 17.0)])
def test_erlangs_recursions_agree_with_the_birth_death_chain(servers: int, load: float) -> None:
    steady = theory.markov_queue(load, 1.0, servers)
    assert theory.erlang_c(servers, load) == pytest.approx(steady.delayed)
    assert theory.erlang_b(servers, load) == pytest.approx(theory.markov_queue(load, 1.0, servers, room=servers).lost)
    assert steady.mean_wait == pytest.approx(steady.delayed / (servers - load))


def test_an_exponential_service_makes_pollaczek_and_khinchine_agree_with_the_chain() -> None:
    assert theory.pollaczek_khinchine(0.7, 1.0, 2.0) == pytest.approx(theory.markov_queue(0.7, 1.0, 1).mean_wait)


def test_endless_patience_makes_erlang_a_an_erlang_c() -> None:
    patient = theory.markov_queue(2.1, 1.0, 3, mean_patience=1e12)
    assert patient.mean_waiting == pytest.approx(theory.markov_queue(2.1, 1.0, 3).mean_waiting, rel=1e-6)


def test_machines_with_a_crew_each_are_down_as_often_as_one_alone() -> None:
    down, turnaround = theory.machine_repair(10, 10, 500.0, 100.0)
    assert down == pytest.approx(10 * 100 / 600)
    assert turnaround == pytest.approx(100.0)


def test_quantiles_are_those_of_the_tables() -> None:
    assert inference.student_quantile(0.975, 10) == pytest.approx(2.228139, abs=1e-6)
    assert inference.student_quantile(0.9995, 39) == pytest.approx(3.5581, abs=1e-3)
    assert inference.chi_square_quantile(0.95, 10) == pytest.approx(18.307038, abs=1e-6)
    assert inference.chi_square_quantile(0.999, 255) == pytest.approx(330.5, abs=0.1)
    assert inference.gamma_cdf(1.0, 2.0) == pytest.approx(-math.expm1(-2.0))
    assert inference.beta_cdf(2.0, 3.0, 0.4) == pytest.approx(0.5248)


def test_leaving_out_one_group_after_another_says_of_a_mean_what_students_interval_says() -> None:
    groups = np.array([3.1, 2.2, 4.0, 3.3, 2.7, 3.9])
    left_out = (groups.sum() - groups) / (len(groups) - 1)
    assert inference.jackknife_margin(left_out, 0.01) == pytest.approx(inference.margin(groups, 0.01))


def test_binomial_bounds_leave_out_no_more_than_they_say() -> None:
    fewest, most = inference.binomial_bounds(200, 0.95, 1e-3)
    chances = [math.comb(200, k) * 0.95**k * 0.05 ** (200 - k) for k in range(201)]
    outside = sum(chances[:fewest]) + sum(chances[most + 1 :])
    assert outside <= 1e-3 < outside + chances[fewest] + chances[most]


# -- the command and its reports --------------------------------------------------------------------------------------


def _check(name: str, measured: float) -> Check:
    finding = Finding("a <number>", 1.0, measured, 0.1, "s", "a & b", "looked at it")
    return Check(name, f"Title of {name}", "nothing", 1, lambda _: [finding])


def test_the_command_exits_1_when_a_check_fails_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.validation.checks.CHECKS", (_check("good", 1.05), _check("bad", 1.2)))
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert re.search(r"fail\s+bad", result.stdout)
    assert "passed: 1, failed: 1" in result.stdout
    assert CliRunner().invoke(app, ["--only", "good"]).exit_code == 0


def test_a_number_that_is_none_fails_and_is_null_in_json() -> None:
    found = Outcome(_check("odd", 0.0), (Finding("x", 1.0, math.nan, 0.1, "s", "", ""),))
    assert found.verdict == "fail"
    assert json.loads(json_text([found], QUICK))["checks"][0]["findings"][0]["measured"] is None
    assert "none" in html([found], QUICK)


def test_json_on_stdout_is_one_object_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["--quick", "--only", "streams", "--json", "-", "--seed", "3"])
    said = json.loads(result.stdout)
    assert (said["seed"], said["passed"], said["checks"][0]["name"]) == (3, True, "streams")
    keys = {"what", "expected", "measured", "distance", "tolerance", "unit", "verdict", "test", "source"}
    assert all(set(finding) == keys for finding in said["checks"][0]["findings"])


def test_the_page_stands_alone_and_draws_what_was_found(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ["--quick", "--only", "thinning", "--only", "ciw", "--html", str(page)]
    assert CliRunner().invoke(app, options).exit_code == 0
    text = page.read_text()
    assert text.count("<polyline") == 3
    assert not re.search(r"<script|<link|src=|https?:|@import|url\(", text)


def test_what_a_check_says_cannot_become_markup() -> None:
    page = html(list(run([_check("good", 1.0)], QUICK)), QUICK)
    assert "a &lt;number&gt;" in page
    assert "a &amp; b" in page


def test_a_check_nobody_knows_and_a_folder_that_is_not_there_are_said_before_anything_runs(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(app, ["--only", "erlang-x"])
    assert unknown.exit_code == 2
    assert "erlang-x: no such check" in unknown.output
    nowhere = CliRunner().invoke(app, ["--html", str(tmp_path / "no" / "report.html")])
    assert nowhere.exit_code == 2
    assert "there is no folder" in nowhere.output


def test_a_check_left_out_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave_out(_: Settings) -> list[Finding]:
        raise LeftOut("not here")

    monkeypatch.setattr("simulator.validation.checks.CHECKS", (Check("away", "Away", "nothing", 1, leave_out),))
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "not here" in result.stdout


def test_every_check_stands_in_the_docs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/validation.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(BY_NAME)
