"""A parameter at either of its limits still makes a town that lives and says nothing the contract rejects."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.application import Application, applications
from tests.simulator.towns import HOUR_S, MIDNIGHT_MS, build, live

JUST_INSIDE = 1e-3


def at_limits() -> Iterator[Any]:
    for application in applications():
        for name, field in application.parameters.model_json_schema()["properties"].items():
            items = field.get("prefixItems")
            one = items[0] if items else field
            for limit, inside in (
                ("minimum", 0),
                ("exclusiveMinimum", JUST_INSIDE),
                ("maximum", 0),
                ("exclusiveMaximum", -JUST_INSIDE),
            ):
                if limit in one:
                    value = one[limit] + inside
                    value = int(value) if one["type"] == "integer" else float(value)
                    given = [value] * len(items) if items else value
                    yield pytest.param(application, name, given, id=f"{name}={value:g}")


@pytest.mark.parametrize(("application", "name", "value"), list(at_limits()))
def test_a_parameter_at_its_limit_makes_a_town_that_lives(application: Application, name: str, value: Any) -> None:
    with_it = [each for each in applications() if each is application or each.name in application.after]
    places = ", ".join(f"{kind.count}: {min(kind.most, 2)}" for each in with_it for kind in each.places)
    text = f"areas: {{a01: {{{places}}}}}\nparameters: {{{application.name}: {{{name}: {value}}}}}\nboost: 100\n"
    town, _ = build(text, start_ms=MIDNIGHT_MS + 21 * HOUR_S * 1000)
    live(town, 0.3 * HOUR_S)
    town.env.run(until=town.env.now + 30)
    assert town.outbox
    for emission in town.outbox:
        emission.measurement.decoder.decode(emission.payload)
