"""Same seed, same start, same commands: same bytes. And nobody's draws belong to anybody else."""

import hashlib

from simulator.town import Town
from tests.simulator.towns import HOUR_S, build, by_device, command, live

TEXT = "areas: {a01: {centres: 2, homes: 6}, a02: {homes: 3}}\nboost: 300\n"
MORNING_MS = 1_790_033_400_000  # 07:30 in Shanghai


def sliced(town: Town, until_s: float, *slices_s: float) -> Town:
    """Live until then in slices of these lengths, in turn."""
    turn = 0
    while town.env.now < until_s:
        town.env.run(until=min(town.env.now + slices_s[turn % len(slices_s)], until_s))
        turn += 1
    return town


def fingerprint(town: Town) -> str:
    said = hashlib.sha256()
    for emission in town.outbox:
        said.update(emission.device.topic(emission.measurement) + emission.payload)
    return said.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    towns = [sliced(build(TEXT, seed=seed, start_ms=MORNING_MS)[0], 6 * HOUR_S, 600) for seed in (1, 1, 2)]
    assert len(towns[0].outbox) > 5_000
    assert fingerprint(towns[0]) == fingerprint(towns[1])
    assert fingerprint(towns[0]) != fingerprint(towns[2])


def test_how_the_run_is_sliced_changes_no_byte_and_no_truth() -> None:
    whole, whole_truth = build(TEXT, start_ms=MORNING_MS)
    cut, cut_truth = build(TEXT, start_ms=MORNING_MS)
    sliced(whole, 6 * HOUR_S, 6 * HOUR_S)
    sliced(cut, 6 * HOUR_S, 0.05, 1.0, 17.31, 900.0, 0.5, 60.0)
    assert fingerprint(whole) == fingerprint(cut)
    assert whole_truth.happenings == cut_truth.happenings


def test_the_same_commands_at_the_same_time_give_the_same_bytes() -> None:
    towns = []
    for _ in range(2):
        town, _ = build(TEXT, start_ms=MORNING_MS)
        sliced(town, HOUR_S, 600)
        command(town, "c01", "kiosk-1", "restart")
        assert command(town, "committee-a01", "desk", "send", home="h0001").done
        towns.append(sliced(town, 3 * HOUR_S, 600))
    assert fingerprint(towns[0]) == fingerprint(towns[1])


MORE = "areas: {a01: {centres: 3, homes: 7}, a02: {homes: 4}, a03: {centres: 1, homes: 1}}\nboost: 300\n"
SHARES_NOTHING = (
    "parameters: {centre: {centres_per_operator: 0, centres_per_technician: 0, retrial_elsewhere: 0, "
    "frozen_screen_mtbf_h: 20, assisted_share: 0.5}}\n"
)


def test_one_more_home_and_one_more_centre_change_nobody_elses_bytes() -> None:
    before, _ = build(TEXT + SHARES_NOTHING, start_ms=MORNING_MS)
    after, _ = build(MORE + SHARES_NOTHING, start_ms=MORNING_MS)
    live(before, 6 * HOUR_S)
    live(after, 6 * HOUR_S)
    said_before, said_after = by_device(before), by_device(after)
    assert len(said_after) > len(said_before)
    for device, said in said_before.items():
        assert said == said_after[device], device


def test_centres_that_share_operators_and_technicians_share_no_draws() -> None:
    often = "parameters: {centre: {retrial_share: 0, assisted_share: 0.5, frozen_screen_mtbf_h: 20}}\n"
    before, _ = build(TEXT + often, start_ms=MORNING_MS)
    after, _ = build(MORE + often, start_ms=MORNING_MS)
    live(before, 6 * HOUR_S)
    live(after, 6 * HOUR_S)
    said_before, said_after = by_device(before), by_device(after)
    changed = {device for device, said in said_before.items() if said != said_after[device]}
    assert changed, "a call or a repair should have waited for another centre's"
    of_centres = ("c01/", "c13/", "o01/")
    assert all(device.startswith(of_centres) for device in changed)
    for centre in ("c01", "c13"):  # the same people come at the same time
        assert said_before[f"{centre}/gate"] == said_after[f"{centre}/gate"]


def test_a_parameter_of_the_centres_changes_nothing_in_the_homes() -> None:
    plain, _ = build(TEXT, start_ms=MORNING_MS)
    changed, _ = build(
        TEXT + "parameters: {centre: {patience_mean_s: 60, frozen_screen_mtbf_h: 5}}\n", start_ms=MORNING_MS
    )
    live(plain, 2 * HOUR_S)
    live(changed, 2 * HOUR_S)
    said, said_changed = by_device(plain), by_device(changed)
    assert all(said[device] == said_changed[device] for device in said if device.startswith(("h", "w")))
    assert any(said[device] != said_changed[device] for device in said if device.startswith("c"))


def test_a_town_starts_at_any_hour_of_the_day() -> None:
    for hour in (0, 0.5, 2.99, 7, 12, 18.25, 23.999):
        town, _ = build(TEXT, start_ms=MORNING_MS - 27_000_000 + round(hour * 3_600_000))
        live(town, 1_800)
        assert all(emission.time_ms >= town.start_ms for emission in town.outbox)
        assert len(town.outbox) > 400
