"""What passes between a reader and a `haina store`: a page of queries in one request, an answer to each in order."""

from typing import Any

import msgspec

MAX_QUERIES = 200  # in one request; a page of the console has about twenty


class Question(msgspec.Struct):
    """The body of `POST /query`. Each of `queries` is a `Query` as JSON; times are Unix milliseconds.

    With `now_ms`, points at or after it stay hidden.
    """

    queries: list[msgspec.Raw]
    start_ms: int
    end_ms: int
    now_ms: int | None = None


class AnsweredSeries(msgspec.Struct):
    """A `Series` on the wire."""

    tags: dict[str, str]
    times_ms: list[int]
    values: list[Any]


class Answer(msgspec.Struct, omit_defaults=True):
    """What became of one query: its series, or one sentence why there are none."""

    series: list[AnsweredSeries] = []
    error: str | None = None


class Answers(msgspec.Struct):
    """The answer to `POST /query`."""

    answers: list[Answer]


class Held(msgspec.Struct, omit_defaults=True):
    """What a store holds of a measurement: how many points (None when it cannot tell cheaply), from when to when.

    Before `rolled_before_ms` it may hold only rollups, or nothing.
    """

    first_ms: int
    latest_ms: int
    points: int | None = None
    rolled_before_ms: int = 0


class Whom(msgspec.Struct):
    """The body of `POST /forget`: a site; without an area, the site of that name in any."""

    site: str
    area: str | None = None


class Description(msgspec.Struct):
    """The answer to `GET /describe`: the measurements that have points."""

    measurements: dict[str, Held]
