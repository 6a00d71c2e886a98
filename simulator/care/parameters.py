"""What the model of senior-care homes can be told."""

from simulator.parameter import ASSUMED, Parameters, parameter

_TIHM = "recorded homes, Palermo et al., Scientific Data 10:606, 2023"
_RATE = "1/(person year)"


class CareParameters(Parameters):
    """Parameters of every home of a scenario."""

    # Who lives there, and when.
    female_share: float = parameter(0.52, "1", "Shanghai statistics 2020, people of 60 and over", "Women.", ge=0, le=1)
    alone_share: float = parameter(
        0.9,
        "1",
        "assumed; the programme is for people living alone, 6.1 % of those over 60",
        "Who live alone.",
        ge=0,
        le=1,
    )
    partner_pace: float = parameter(
        0.5, "1", ASSUMED, "How much a partner moves about at home, against the resident.", ge=0, le=3
    )
    prevalence_factor: float = parameter(
        1.0, "1", "prevalences by age: simulator/care/condition.py", "Scales frailty and all conditions.", ge=0, le=20
    )
    wake_h: float = parameter(7.5, "h", f"fitted, {_TIHM}", "Usual hour of getting up, on average.", ge=3, le=11)
    bed_h: float = parameter(22.7, "h", f"fitted, {_TIHM}", "Usual hour of going to bed, on average.", ge=19, le=25)
    habit_sd_h: float = parameter(0.8, "h", ASSUMED, "Spread of those hours between people.", ge=0, le=2)
    habit_day_sd_h: float = parameter(0.5, "h", ASSUMED, "Spread of those hours from day to day.", ge=0, le=2)
    pace_cv: float = parameter(
        0.2, "1", f"fitted, {_TIHM}", "Spread between people of how much they move about.", ge=0, le=1
    )
    pace_day_cv: float = parameter(0.42, "1", f"fitted, {_TIHM}", "The same from day to day.", ge=0, le=1)
    pace_visit_cv: float = parameter(1.6, "1", f"fitted, {_TIHM}", "The same from activity to activity.", ge=0, le=2)
    night_trips_per_h: float = parameter(
        0.34, "1/h", f"fitted, {_TIHM}: 2.4 bathroom visits from 23 to 06 h", "Rising at night.", ge=0, le=5
    )
    night_trips_cv: float = parameter(0.85, "1", f"fitted, {_TIHM}", "Spread of it between people.", ge=0, le=3)
    outings_per_day: float = parameter(1.2, "1/d", ASSUMED, "Going out and coming home.", ge=0, le=6)
    outing_median_h: float = parameter(1.3, "h", ASSUMED, "Median time out (lognormal, σ 0.95).", gt=0, le=12)
    nap_share: float = parameter(0.3, "1", ASSUMED, "Days with a nap in bed after lunch.", ge=0, le=1)
    callers_per_day: float = parameter(
        3.0, "1/d", ASSUMED, "The front door opened for a neighbour, a parcel, the rubbish.", ge=0, le=50
    )
    away_per_year: float = parameter(8.0, "1/a", ASSUMED, "Leaving for days, such as to a daughter's.", ge=0, le=100)
    away_mean_d: float = parameter(2.5, "d", ASSUMED, "Mean length of it.", gt=0, le=60)

    missed_share: float = parameter(
        0.1,
        "1",
        "assumed, after Vrijens et al., BMJ 2008;336:1114, not checked",
        "Doses one does not think of.",
        ge=0,
        le=1,
    )
    medicine_delay_min: float = parameter(
        15.0, "min", ASSUMED, "Mean time until one thinks of a dose that is due.", ge=0, le=600
    )
    night_wander_share: float = parameter(
        0.12, "1", f"fitted, {_TIHM}", "Risings at night that lead on to other rooms.", ge=0, le=1
    )

    # What frailty and conditions change.
    frail_pace: float = parameter(0.75, "1", ASSUMED, "How much the frail move about.", gt=0, le=2)
    frail_steps: float = parameter(0.6, "1", ASSUMED, "Steps of the frail.", gt=0, le=2)
    frail_outings: float = parameter(0.5, "1", ASSUMED, "Outings of the frail.", ge=0, le=2)
    af_heart_bpm: float = parameter(11.0, "bpm", ASSUMED, "Atrial fibrillation: heart rate above usual.", ge=0, le=80)
    af_beat_interval_sd_ms: float = parameter(
        90.0, "ms", ASSUMED, "Atrial fibrillation: more spread of the times between beats.", ge=0, le=300
    )
    copd_spo2_pct: float = parameter(3.0, "%", ASSUMED, "COPD: SpO2 below usual.", ge=0, le=20)
    copd_breathing_brpm: float = parameter(4.0, "1/min", ASSUMED, "COPD: breathing above usual.", ge=0, le=20)
    copd_pace: float = parameter(0.85, "1", ASSUMED, "COPD: how much one moves about at home.", gt=0, le=2)
    copd_steps: float = parameter(
        0.54, "1", "Pitta et al., AJRCCM 2005;171:972: walking 44 against 81 min a day", "COPD: steps.", gt=0, le=2
    )
    dementia_night_trips: float = parameter(1.8, "1", ASSUMED, "Dementia: risings at night.", ge=0, le=10)
    dementia_night_wander_share: float = parameter(
        0.4, "1", ASSUMED, "Dementia: risings that lead on to other rooms.", ge=0, le=1
    )
    dementia_misplaced_share: float = parameter(
        0.25, "1", ASSUMED, "Dementia: things done at an hour that is not theirs.", ge=0, le=1
    )
    dementia_missed_share: float = parameter(0.35, "1", ASSUMED, "Dementia: doses not thought of.", ge=0, le=1)

    # The sensors' own habits.
    motion_hold_log_mean: float = parameter(0.706, "ln(s)", "CASAS", "How long infrared stays on.", ge=-2, le=5)
    motion_hold_log_sd: float = parameter(0.635, "ln(s)", "CASAS", "Spread of that.", ge=0, le=2)
    motion_blank_s: float = parameter(
        10.0, "s", "assumed; the recorded sensors were deaf for 61 s", "Deaf for so long after a start.", ge=0, le=300
    )
    heartbeat_s: int = parameter(3_600, "s", ASSUMED, "Heartbeat of front door and smoke alarm.", ge=60, le=86_400)

    battery_life_factor: float = parameter(
        1.0, "1", "lives by kind, assumed: simulator/care/fitting.py", "Scales the life of batteries.", gt=0, le=1_000
    )
    battery_replaced_after_d: float = parameter(
        3.0, "d", ASSUMED, "Mean time until a flat battery is replaced.", ge=0, le=365
    )
    contact_losses_per_year: float = parameter(
        3.0, "1/(device year)", ASSUMED, "A device's radio is not heard for a while.", ge=0, le=365
    )
    contact_lost_mean_h: float = parameter(1.5, "h", ASSUMED, "Mean length of that.", gt=0, le=240)
    uplink_losses_per_year: float = parameter(
        4.0, "1/(home year)", ASSUMED, "A home's gateway loses its uplink; readings come late.", ge=0, le=1_000
    )
    uplink_lost_mean_min: float = parameter(25.0, "min", ASSUMED, "Mean length of that.", gt=0, le=2_880)
    stove_cut_after_s: float = parameter(
        1_800.0, "s", ASSUMED, "The stove guard cuts a burner left alone for so long.", gt=0, le=86_400
    )

    # The body.
    resting_bpm: float = parameter(65.5, "bpm", "PLoS One 2020 e0227709", "Resting heart rate.", ge=40, le=100)
    resting_sd_bpm: float = parameter(7.7, "bpm", "PLoS One 2020 e0227709", "Its spread between people.", ge=0, le=20)
    asleep_bpm: float = parameter(61.0, "bpm", _TIHM, "Heart rate asleep.", ge=35, le=100)
    asleep_sd_bpm: float = parameter(5.1, "bpm", _TIHM, "Its spread between people.", ge=0, le=20)
    breathing_brpm: float = parameter(
        14.7, "1/min", f"fitted, {_TIHM}: 15.1 on average, COPD among them", "Breathing asleep.", ge=6, le=30
    )
    breathing_sd_brpm: float = parameter(1.5, "1/min", _TIHM, "Its spread between people.", ge=0, le=5)
    spo2_pct: float = parameter(
        96.0, "%", "assumed; 65 and over: Rodriguez-Molinero 2013 give 91 % as lower limit", "SpO2.", ge=80, le=100
    )
    spo2_sd_pct: float = parameter(1.3, "%", ASSUMED, "Its spread between people.", ge=0, le=5)
    spo2_moment_sd_pct: float = parameter(0.5, "%", "BIDMC, PhysioNet", "Its spread within minutes.", ge=0, le=5)
    beat_interval_sd_ms: float = parameter(
        35.0, "ms", ASSUMED, "Spread of the times between beats (SDNN of a minute).", gt=0, le=300
    )
    skin_c: float = parameter(34.15, "°C", _TIHM, "Skin at the wrist, awake.", ge=25, le=40)
    skin_sd_c: float = parameter(0.6, "°C", _TIHM, "Its spread between people.", ge=0, le=3)
    skin_moment_sd_c: float = parameter(0.3, "°C", ASSUMED, "Its spread within minutes.", ge=0, le=3)
    wears_at_night: float = parameter(0.85, "1", ASSUMED, "Share of people who sleep with the wristband.", ge=0, le=1)
    battery_h: float = parameter(110.0, "h", ASSUMED, "A full wristband lasts so long.", gt=1, le=10_000)
    charge_h: float = parameter(1.6, "h", ASSUMED, "An empty wristband charges so long.", gt=0, le=48)

    # Rare events, before the scenario's boost.
    falls_per_1000_men: float = parameter(
        220.0, f"1/(1000 {_RATE[2:]}", "Hong Kong cohort, HKMJ 2007;13 S1:8", "Falls of men.", ge=0, le=10_000
    )
    falls_per_1000_women: float = parameter(
        324.0, f"1/(1000 {_RATE[2:]}", "Hong Kong cohort, HKMJ 2007;13 S1:8", "Falls of women.", ge=0, le=10_000
    )
    falls_cv: float = parameter(
        1.4,
        "1",
        "fitted: with those rates 19 % fall in a year, doi 10.7507/1672-2531.202111155",
        "Spread between people of how prone they are to fall.",
        ge=0,
        le=5,
    )
    fall_peak_g: float = parameter(5.51, "g", "WEDA-FALL, Sensors 2023;23:1146", "Peak at the wrist.", ge=1, le=16)
    fall_peak_sd_g: float = parameter(0.89, "g", "WEDA-FALL, Sensors 2023;23:1146", "Its spread.", ge=0, le=5)
    fall_sensitivity: float = parameter(0.8, "1", "PMC6470846", "Falls that a worn wristband notices.", ge=0, le=1)
    false_falls_per_week: float = parameter(
        0.17, "1/(person week)", "PMC6470846", "Falls a worn wristband imagines.", ge=0, le=100
    )
    rises_alone_at_60: float = parameter(0.8, "1", ASSUMED, "Falls after which one gets up without help.", ge=0, le=1)
    rises_alone_at_90: float = parameter(
        0.35,
        "1",
        "fitted: with `falls_seen`, 54 % of falls of people over 90 end with being found, BMJ 2008;337:a2227",
        "The same at 90.",
        ge=0,
        le=1,
    )
    falls_seen: float = parameter(0.18, "1", "BMJ 2008;337:a2227: 82 % were alone", "Falls that are seen.", ge=0, le=1)
    sos_after_fall: float = parameter(
        0.2, "1", "assumed; most who lay long did not, BMJ 2008;337:a2227", "Lying people who press.", ge=0, le=1
    )
    help_mean_h: float = parameter(
        1.75,
        "h",
        "assumed, family and neighbours of people living alone; so 30 % of falls from 90 years on lie an hour or more. "
        "In a cohort with care homes 30 % of those who fell did so at least once in a year, BMJ 2008;337:a2227",
        "Until somebody happens to find one lying.",
        gt=0,
        le=72,
    )
    hospital_share: float = parameter(
        0.1, "1", ASSUMED, "Falls after which one who does not rise must go to hospital.", ge=0, le=1
    )
    hospital_after_h: float = parameter(
        2.0, "h", "assumed; stands in for family", "Until one who is hurt goes, without an ambulance.", gt=0, le=72
    )
    infections_per_year: float = parameter(
        1.2,
        _RATE,
        "Nicholson et al., BMJ 1997;315:1060: people of 60-90 at home, upper airways",
        "Respiratory infections.",
        ge=0,
        le=50,
    )
    exacerbations_per_year: float = parameter(
        0.85, _RATE, "assumed, after Hurst et al., NEJM 2010;363:1128, not checked", "With COPD.", ge=0, le=50
    )
    paroxysms_per_year: float = parameter(
        24.0, _RATE, ASSUMED, "Hours of fast, irregular pulse, with atrial fibrillation.", ge=0, le=1_000
    )
    paroxysm_median_h: float = parameter(2.0, "h", ASSUMED, "How long they last (lognormal).", gt=0, le=168)
    paroxysm_log_sd: float = parameter(1.2, "ln(h)", ASSUMED, "Spread of that.", ge=0, le=3)
    wanderings_per_year: float = parameter(30.0, _RATE, ASSUMED, "Nights astray, with dementia.", ge=0, le=1_000)
    leaves_home_share: float = parameter(0.15, "1", ASSUMED, "Of them out of the front door.", ge=0, le=1)
    lost_mean_h: float = parameter(
        2.0, "h", "assumed; stands in for passers-by and police", "Until one who is lost is brought home.", gt=0, le=72
    )
    sos_mistakes_per_year: float = parameter(1.0, _RATE, ASSUMED, "The SOS button pressed by mistake.", ge=0, le=1_000)
    wristband_drops_per_year: float = parameter(4.0, _RATE, ASSUMED, "It slips off and hits the floor.", ge=0, le=1_000)
    charging_forgotten_per_year: float = parameter(
        6.0, _RATE, "assumed; no part of the boost", "Days in a row without charging the wristband.", ge=0, le=365
    )
    cooking_smoke_per_year: float = parameter(0.7, "1/(home year)", ASSUMED, "Smoke from a pan.", ge=0, le=1_000)
    taps_left_open_per_year: float = parameter(
        2.0, "1/(home year)", ASSUMED, "Tried where the resident is: left running in one room of two.", ge=0, le=1_000
    )
    tap_open_mean_h: float = parameter(1.2, "h", ASSUMED, "Until the resident notices.", gt=0, le=24)
    fires_per_year: float = parameter(0.002, "1/(home year)", ASSUMED, "A fire; no part of the boost.", ge=0, le=10)

    # What is no trouble, and may look like it; no part of the boost.
    visits_per_week: float = parameter(1.5, "1/week", ASSUMED, "Visitors who stay for an hour or two.", ge=0, le=100)
    cleanings_per_week: float = parameter(0.5, "1/week", ASSUMED, "A big clean.", ge=0, le=100)
