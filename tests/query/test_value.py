"""A query that makes no sense cannot be made, and its sentence says why."""

import pytest

from haina.query import Aggregate, Filter, Query


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Query("gravity", "g"), "unknown measurement 'gravity'"),
        (lambda: Query("wearable", "mood"), "no field 'mood'"),
        (lambda: Query("wearable", "steps", window_s=0), "at least 1 s"),
        (lambda: Query("wearable", "steps", group=("room",)), "cannot group by 'room'"),
        (lambda: Query("kiosk_state", "fault"), "is text"),
        (lambda: Query("kiosk_state", "fault", Aggregate.LAST, across=Aggregate.MAX), "only be counted"),
        (lambda: Query("wearable", "steps", across=Aggregate.LAST), "no order"),
        (
            lambda: Query("wearable", "steps", where=(Filter("room", "=", ("bath",)),)),
            "cannot filter wearable by 'room'",
        ),
        (lambda: Query("wearable", "steps", where=(Filter("site", "<", ("a",)),)), "takes = or !="),
        (lambda: Query("wearable", "steps", where=(Filter("site", "=", ()),)), "one or more texts"),
        (lambda: Query("wearable", "steps", where=(Filter("site", "=", (3,)),)), "one or more texts"),
        (lambda: Query("wearable", "steps", where=(Filter("steps", "=", (1, 2)),)), "exactly one value"),
        (lambda: Query("wearable", "steps", where=(Filter("steps", "=", ("many",)),)), "finite number"),
        (lambda: Query("wearable", "steps", where=(Filter("steps", ">", (float("nan"),)),)), "finite number"),
        (lambda: Query("kiosk_state", "state", where=(Filter("fault", ">", ("none",)),)), "is text"),
        (lambda: Query("kiosk_state", "state", where=(Filter("fault", "=", (1,)),)), "is text"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_sentence(build: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (Query("wearable", "steps", Aggregate.MAX), "int"),
        (Query("wearable", "steps", Aggregate.MEAN), "float"),
        (Query("wearable", "steps", Aggregate.MEAN, across=Aggregate.COUNT), "int"),
        (Query("wearable", "worn", Aggregate.SUM), "int"),
        (Query("wearable", "heart_rate_bpm", Aggregate.P95), "float"),
        (Query("wearable", "heart_rate_bpm", Aggregate.COUNT), "int"),
        (Query("wearable", "heart_rate_bpm", Aggregate.COUNT, across=Aggregate.MEAN), "float"),
        (Query("kiosk_state", "fault", Aggregate.LAST), "str"),
        (Query("kiosk_state", "fault", Aggregate.LAST, across=Aggregate.COUNT), "int"),
    ],
    ids=str,
)
def test_the_answers_type_follows_from_the_question(query: Query, kind: str) -> None:
    assert query.answer_type == kind
