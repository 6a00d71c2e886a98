"""The contract: topics, payloads, points and what is derived from them."""

import json
import math
import re

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haina.contract import (
    MEASUREMENTS,
    BadTopic,
    Field,
    Measurement,
    Point,
    Topic,
    TopicClass,
    document,
    line_protocol,
    measurement,
    point_hash,
    telemetry_payload,
    time_ns,
)
from haina.contract.measurement import LAST_MS
from haina.contract.point import MAX_FLOAT_TEXTS, FloatTexts, lines, stored_point_hash

LEVEL = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,47}", fullmatch=True)
TIME_MS = st.integers(0, LAST_MS)


def field_value(field: Field) -> st.SearchStrategy[object]:
    """Any value that the field may have."""
    match field.type:
        case "bool":
            return st.booleans()
        case "str":
            if field.choices:
                return st.sampled_from(field.choices)
            return st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", codec="utf-8"), max_size=64)
        case "int":
            low, high = field.limits()
            return st.integers(int(low), int(high))
        case "float":
            return st.floats(field.low, field.high, allow_nan=False, allow_infinity=False)


@st.composite
def readings(draw: st.DrawFn) -> tuple[Measurement, dict[str, object]]:
    declared = draw(st.sampled_from(list(MEASUREMENTS.values())))
    values = {
        field.name: draw(field_value(field)) for field in declared.fields if field.required or draw(st.booleans())
    }
    return declared, values


@given(st.sampled_from(TopicClass), LEVEL, LEVEL, LEVEL, LEVEL)
def test_a_topic_survives_being_written_and_parsed(
    kind: TopicClass, area: str, site: str, device: str, name: str
) -> None:
    topic = Topic(kind, area, site, device, name)
    assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("haina/v1/telemetry/a/b/c", "expected haina/v1/class/area/site/device/name"),
        ("haina/v2/telemetry/a/b/c/d", "unknown contract version 'v2'"),
        ("haina/v1/gossip/a/b/c/d", "unknown class 'gossip'"),
        ("haina/v1/telemetry/A/b/c/d", "'A' must be lower-case"),
        ("haina/v1/telemetry//b/c/d", "'' must be lower-case"),
        ("haina/v1/telemetry/a b/b/c/d", "'a b' must be lower-case"),
        ("haina/v1/telemetry/a/b/c/d\n", "must be lower-case"),
        ("haina/v1/telemetry/" + "a" * 49 + "/b/c/d", "longer than 48"),
        ("", "expected haina/v1/class"),
    ],
)
def test_a_wrong_topic_is_refused_with_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(BadTopic, match=re.escape(sentence)):
        Topic.parse(text)


@given(readings(), TIME_MS, st.integers(0, 2**31 - 1), st.integers(1, 2**53 - 1))
def test_every_reading_the_declarations_allow_is_accepted_unchanged_and_by_the_json_schema(
    reading: tuple[Measurement, dict[str, object]], time_ms: int, boot: int, seq: int
) -> None:
    declared, values = reading
    payload = telemetry_payload(time_ms, boot, seq, values)  # type: ignore[arg-type]
    decoded = declared.decoder.decode(payload)
    assert (decoded.time, decoded.boot, decoded.seq) == (time_ms, boot, seq)
    kept = dict(zip(declared.field_names, msgspec.structs.astuple(decoded.values), strict=True))
    assert {name: value for name, value in kept.items() if value is not None} == values
    if values:
        jsonschema.validate(json.loads(payload), document.json_schema(declared.name))


@given(readings(), TIME_MS, st.integers(1, 2**53 - 1))
def test_a_stored_reading_has_the_fingerprint_of_the_sent_one(
    reading: tuple[Measurement, dict[str, object]], time_ms: int, seq: int
) -> None:
    declared, values = reading
    payload = telemetry_payload(time_ms, 3, seq, values)  # type: ignore[arg-type]
    as_stored = {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
    assert stored_point_hash(declared, time_ms, 3, seq, as_stored) == point_hash(declared.name, payload)
    assert stored_point_hash(declared, time_ms, 3, seq + 1, as_stored) != point_hash(declared.name, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"time":1,"boot":1,"seq":1}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":NaN,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":1e999,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":true,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":"600","temperature_c":20,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":600,"temperature_c":2000,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":600,"temperature_c":20,"humidity_pct":50,"x":1}}',
        b'{"time":1,"boot":1,"seq":1,"values":{"co2_ppm":600,"temperature_c":20}}',
        b'{"time":1,"boot":1,"seq":0,"values":{"co2_ppm":600,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":-1,"boot":1,"seq":1,"values":{"co2_ppm":600,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":1.5,"boot":1,"seq":1,"values":{"co2_ppm":600,"temperature_c":20,"humidity_pct":50}}',
        b'{"time":1,"boot":1,"seq":1,"values":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_whatever_does_not_fit_is_refused(payload: bytes) -> None:
    # RecursionError is msgspec's answer to depth; the collector treats both as a refusal.
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        measurement("centre_air").decoder.decode(payload)


def test_two_events_in_the_same_millisecond_have_different_times() -> None:
    assert time_ns(1_000, 1) != time_ns(1_000, 2)
    assert time_ns(1_000, 1) // 1_000_000 == time_ns(1_000, 999_999) // 1_000_000 == 1_000


def test_line_protocol_quotes_texts_and_leaves_out_what_is_absent() -> None:
    session = Point(
        "kiosk_session", "a01", "c01", "kiosk-1", 1_000, 2, 5, ("id_card", "completed", 1.5, 60.0, *[None] * 4)
    )
    assert line_protocol(session) == (
        'kiosk_session,area=a01,device=kiosk-1,site=c01 service="id_card",outcome="completed",wait_s=1.5,'
        "duration_s=60.0,boot=2i,seq=5i 1000000005"
    )
    assert "motion=1i," in line_protocol(Point("home_motion", "a01", "h1", "pir", 1, 1, 1, (True,)))


def test_line_protocol_writes_every_float_as_it_is_however_many_there_are() -> None:
    """Texts of floats are remembered: but not without a limit, and the two zeros are equal and yet two."""
    floats = [0.0, -0.0, 1.0, 1e-7, 1e22, 81.5, *(number / 8 for number in range(MAX_FLOAT_TEXTS + 100)), -0.0, 81.5]
    points = [Point("wearable", "a01", "h1", "band", 1, 1, 1, (True, 1, value, *[None] * 4)) for value in floats]
    said = [line.partition("battery_pct=")[2].partition(",")[0] for line in lines(points).split("\n")]
    assert said == [repr(value) for value in floats]
    texts = FloatTexts()
    assert [texts[value] for value in floats] == said
    assert len(texts) <= MAX_FLOAT_TEXTS


@pytest.mark.parametrize("first", [81, np.float64(81.0)])
def test_a_number_that_is_no_float_does_not_decide_how_floats_equal_to_it_are_written(first: float) -> None:
    texts = FloatTexts()
    assert (texts[first], texts[81.0]) == ("81.0", "81.0")


@pytest.mark.parametrize("text", ["a\nb", "a\n", "\n", "a\x00", "\x7f"])
def test_a_text_has_no_control_character_also_not_at_its_end(text: str) -> None:
    declared = measurement("crew_member")
    values = {"state": 0, "longitude_deg": 121.4, "latitude_deg": 31.2, "destination": text}
    with pytest.raises(msgspec.ValidationError, match="regex"):
        declared.decoder.decode(telemetry_payload(1, 1, 1, values))
    declared.decoder.decode(telemetry_payload(1, 1, 1, {**values, "destination": "a b"}))


def test_declarations_are_consistent() -> None:
    names = set()
    for declared in MEASUREMENTS.values():
        assert declared.sentence.endswith(".")
        for field in declared.fields:
            assert field.sentence.endswith("."), f"{declared.name}.{field.name}"
            assert field.name not in {"boot", "seq", "time", "area", "site", "device"}
            if field.type == "float":
                assert field.low is not None
                assert field.high is not None
                assert math.isfinite(field.low)
        names.add(declared.name)
        required = [field.required for field in declared.fields]
        assert required == sorted(required, reverse=True), f"{declared.name}: optional fields come last"
    assert len(names) == len(MEASUREMENTS)


def test_the_asyncapi_document_is_closed_and_knows_every_measurement() -> None:
    api = document.asyncapi()
    text = json.dumps(api)
    assert api["asyncapi"] == "3.0.0"
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text):
        found = api
        for part in reference.split("/"):
            found = found[part]
    addresses = {channel["address"] for channel in api["channels"].values()}
    for name in MEASUREMENTS:
        assert f"haina/v1/telemetry/{{area}}/{{site}}/{{device}}/{name}" in addresses


def test_the_docs_table_names_every_field_with_its_unit() -> None:
    table = document.markdown()
    for declared in MEASUREMENTS.values():
        assert f"## `{declared.name}`" in table
        for field in declared.fields:
            assert f"| `{field.name}` |" in table
