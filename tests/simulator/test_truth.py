"""The truth ledger: whatever happens has a beginning, an end and a name of its own."""

from tests.simulator.towns import CALM, DAY_S, build, live

# Everything that any model lets happen; what a model adds belongs here.
KINDS = {
    *("out", "hospital", "fall", "sos", "imagined_fall", "infection", "exacerbation", "paroxysm", "wandering"),
    *("smoke", "water_running", "stove_cut", "medicine", "medicine_filled", "visitors", "cleaning"),
    *("wristband_dropped", "wristband_flat", "charging_forgotten", "battery_flat", "contact_lost"),
    *("uplink_lost", "power_lost", "kiosk_fault", "trouble", "false_report"),
}
OFTEN = {
    **{name: 50.0 if name.endswith("year") else 10.0 for name in CALM},
    **{"falls_per_1000_men": 9_000.0, "falls_per_1000_women": 9_000.0, "rises_alone_at_60": 0.0, "hospital_share": 1.0},
    **{"prevalence_factor": 20.0, "wanderings_per_year": 200.0, "charging_forgotten_per_year": 300.0},
    **{"battery_life_factor": 0.004, "battery_replaced_after_d": 0.5, "battery_h": 20.0, "stove_cut_after_s": 1.0},
}
UNSTEADY = {"power_outages_per_year": 300.0, "uplink_outages_per_year": 300.0}


def test_whatever_happens_begins_once_and_ends_at_most_once_under_an_id_that_names_it_for_ever() -> None:
    town, truth = build(
        "areas: {a01: {homes: 8, centres: 1, blocks: 2}}\nboost: 10\n"
        f"parameters: {{care: {OFTEN}, centre: {UNSTEADY}}}\n".replace("'", "")
    )
    live(town, 9 * DAY_S, hear=lambda _: None)
    began, ended = {}, {}
    for happening in truth.happenings:
        if happening.kind == "resident":
            continue
        event, known = happening.details["event"], ended if happening.kind.endswith("_end") else began
        assert event.startswith(f"{happening.site}-{town.boot}-")  # so no other life of the run has it
        assert event not in known
        known[event] = happening
    assert {happening.kind for happening in began.values()} == KINDS
    for event, end in ended.items():
        assert end.kind == f"{began[event].kind}_end"
        assert end.at_s >= began[event].at_s
    illnesses = {"infection", "exacerbation"}  # of days: this run may be too short to see one end
    assert {began[event].kind for event in ended} | illnesses == KINDS
    causes = {happening.details["cause"] for happening in began.values() if "cause" in happening.details}
    assert causes <= began.keys()
