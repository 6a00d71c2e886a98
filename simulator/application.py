"""A smart application: what a scenario may count, describe and parameterise of it, and how it comes to life.

Each application is one package of this room whose `__init__` names an `APPLICATION`. Nobody lists them: `applications`
looks into the packages. From what an application declares follow the keys of a scenario (`areas.*.venues`, a described
site of `kind: venue`, `parameters.venues`), their checks and their error sentences; `population` founds its sites and
then calls its `populate`.

Applications meet through what is *shared* (`Shared`): each may `offer` a thing, such as the weather, and those that
open after it may ask for it by its type.
"""

import graphlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

import simulator
from haina.zone import place
from simulator.parameter import Parameters
from simulator.town import Site, Town

Thing = TypeVar("Thing")


class Plan(BaseModel):
    """What a scenario fixes about a place; a field that is None is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class PlaceKind:
    """A kind of site that areas count and scenarios describe.

    `kind` is the site's kind and the `kind:` of a described one; `count` is an area's key, `most` its limit. Numbered
    sites are called by `letter` and at least `digits` digits.
    """

    kind: str
    count: str
    letter: str
    digits: int
    most: int
    sentence: str
    plan: type[Plan] = Plan


class Place(NamedTuple):
    """A site that was founded, and what the scenario fixes about it."""

    site: Site
    plan: Any


class Shared:
    """What applications share: the scenario's areas and boost, and what each offers the others."""

    def __init__(self, areas: Sequence[str], boost: float) -> None:
        self.areas = tuple(areas)
        self.boost = boost
        self._offered: dict[type, Any] = {}

    def offer(self, thing: object) -> None:
        """Let applications that open later ask for this."""
        self._offered[type(thing)] = thing

    def offered(self, kind: type[Thing]) -> Thing:
        """What was offered of this type. Raises LookupError: the one who asks opens `after` the one who offers."""
        try:
            thing: Thing = self._offered[kind]
        except KeyError:
            raise LookupError(f"nobody offered a {kind.__name__}; is its application named in `after`?") from None
        return thing


Populate = Callable[[Town, Mapping[str, Sequence[Place]], Any, Shared], None]
"""Brings the places of an application to life, by kind, with its parameters, at the town's start."""


@dataclass(frozen=True)
class Application:
    """One smart application. `name` is its key under `parameters`; it opens after those named in `after`."""

    name: str
    parameters: type[Parameters]
    populate: Populate
    places: tuple[PlaceKind, ...] = ()
    after: tuple[str, ...] = ()


@cache
def applications() -> tuple[Application, ...]:
    """Every application, in the order in which they open: by `after`, then by name."""
    declared: dict[str, Application] = {}
    for _, name, is_package in pkgutil.iter_modules(simulator.__path__):
        package = importlib.import_module(f"simulator.{name}") if is_package else None
        application: Application | None = getattr(package, "APPLICATION", None)
        if application is not None:
            declared[application.name] = application
    waiting = graphlib.TopologicalSorter({name: each.after for name, each in declared.items()})
    waiting.prepare()
    order: list[Application] = []
    while waiting.is_active():
        names = sorted(waiting.get_ready())
        order += [declared[name] for name in names]
        waiting.done(*names)
    return tuple(order)


def place_kinds() -> tuple[PlaceKind, ...]:
    """The kinds of place of all applications."""
    return tuple(kind for application in applications() for kind in application.places)


def found(town: Town, area: str, site_id: str, kind: str) -> Site:
    """Found a site somewhere on built ground of an area; where, its own random numbers say."""
    draws = town.stream(f"{area}/{site_id}", "place")
    return town.site(area, site_id, kind, place(area, draws.random(), draws.random()))
