"""Who comes to a centre: a visitor of some age, with an errand, and with numbers of their own.

Each visitor draws from a stream that belongs to them alone, so what befalls one, or a queue that is longer than it
was, changes nobody else's errand, patience or luck.

What people of each age come for, how long it takes against the average and what it uses up are assumed; no count of a
Shanghai centre by age and service was found.
"""

from dataclasses import dataclass
from math import gamma as gamma_function
from typing import NamedTuple

from haina.contract.centre import AGE_GROUPS, SERVICES
from simulator.centres.parameters import CentreParameters
from simulator.randomness import Stream

DEMAND = {
    "household": 0.25,
    "social-security": 0.20,
    "medical-insurance": 0.17,
    "certificate": 0.12,
    "tax": 0.09,
    "pick-up": 0.09,
    "business-licence": 0.08,
}
"""What people come for, all ages together; assumed."""

# How much more often than all ages together; assumed.
_LEANING = {
    "under_35": (1.3, 0.7, 0.5, 1.2, 1.4, 1.2, 1.8),
    "35_to_59": (1.0, 1.0, 0.9, 1.1, 1.3, 1.0, 1.3),
    "60_to_74": (0.8, 1.4, 1.5, 0.8, 0.4, 0.9, 0.2),
    "over_75": (0.6, 1.3, 1.8, 0.6, 0.2, 0.7, 0.05),
}


class Work(NamedTuple):
    """What a service takes: time against the average, sheets printed at most, blank cards."""

    relative_time: float
    most_sheets: int = 4
    cards: int = 0


# Assumed.
WORK = {
    "residence_permit": Work(1.3, cards=1),
    "id_card": Work(1.1, cards=1),
    "pension_check": Work(0.7),
    "contribution_record": Work(0.8),
    "insurance_card": Work(1.0, cards=1),
    "reimbursement": Work(1.5),
    "tax_certificate": Work(0.9),
    "licence_application": Work(1.8),
    "licence_print": Work(0.7),
    "certificate_print": Work(0.6),
    "property_query": Work(0.5),
    "document_pickup": Work(0.3, most_sheets=0),
}


class Age(NamedTuple):
    """An age group: its weight among visitors, and what is different about it."""

    group: str
    share: float
    slower: float
    assisted_share: float

    @property
    def is_over_60(self) -> bool:
        return self.group in AGE_GROUPS[2:]

    @property
    def is_over_75(self) -> bool:
        return self.group == AGE_GROUPS[3]


def ages(p: CentreParameters) -> tuple[Age, ...]:
    """The age groups; their shares add up to 1."""
    given = (p.under_35_share, p.sixty_to_74_share, p.over_75_share)
    middle = max(1 - sum(given), 0.0)
    total = sum(given) + middle
    shares = (given[0], middle, given[1], given[2])
    slower = (p.under_35_slower, 1.0, p.sixty_to_74_slower, p.over_75_slower)
    assisted = (p.assisted_share, p.assisted_share, p.assisted_share_60_to_74, p.assisted_share_over_75)
    return tuple(
        Age(group, share / total, slow, helped)
        for group, share, slow, helped in zip(AGE_GROUPS, shares, slower, assisted, strict=True)
    )


@dataclass(slots=True, eq=False)
class Visitor:
    """Somebody with an errand. `companions` come along without one."""

    draws: Stream
    age: Age
    kind: str
    service: str
    service_s: float
    """Time at a kiosk, if all goes well."""
    patience_s: float
    companions: int = 0
    attempts: int = 1
    waited_s: float = 0.0


class Public:
    """The people a centre serves, as it sees them: what they want of the kinds of kiosk it has."""

    def __init__(self, kinds: list[str], p: CentreParameters) -> None:
        self._p = p
        self._kinds = kinds
        self._ages = ages(p)
        self._age_weights = [age.share for age in self._ages]
        self._weights = {age.group: _weights(age, kinds) for age in self._ages}
        self._mean_time = self._mean_relative_time()

    def draw(self, draws: Stream, kind: str | None = None) -> Visitor:
        """A visitor; `kind` fixes which kind of kiosk is wanted."""
        p = self._p
        age: Age = draws.choice(self._ages, self._age_weights)
        kind = kind or draws.choice(self._kinds, self._weights[age.group])
        service = draws.choice(SERVICES[kind])
        mean_s = p.service_mean_s * WORK[service].relative_time / self._mean_time * age.slower
        service_s = draws.lognormal_mean_cv(mean_s, p.service_cv)
        return Visitor(draws, age, kind, service, service_s, patience_s(draws, p))

    def _mean_relative_time(self) -> float:
        """The mean of the services asked for here, so that the mean time is the parameter's."""
        return sum(
            age.share * weight / sum(self._weights[age.group]) * _mean(SERVICES[kind])
            for age in self._ages
            for kind, weight in zip(self._kinds, self._weights[age.group], strict=True)
        )


def _weights(age: Age, kinds: list[str]) -> list[float]:
    leaning = dict(zip(DEMAND, _LEANING[age.group], strict=True))
    return [DEMAND[kind] * leaning[kind] for kind in kinds]


def _mean(services: tuple[str, ...]) -> float:
    return sum(WORK[service].relative_time for service in services) / len(services)


def patience_s(draws: Stream, p: CentreParameters) -> float:
    """How long somebody is ready to wait in the queue: Weibull, of which the exponential is a case."""
    if p.patience_weibull_shape == 1:
        return draws.exponential(p.patience_mean_s)
    return draws.weibull(p.patience_weibull_shape, p.patience_mean_s / gamma_function(1 + 1 / p.patience_weibull_shape))


def rating(visitor: Visitor, served: bool, p: CentreParameters) -> int:
    """What a visitor presses at the exit: 1 … 5, by wait, outcome and age."""
    score = p.rating_mean + p.rating_per_10_min * visitor.waited_s / 600
    score += (0.0 if served else p.rating_unserved) + (p.rating_over_60 if visitor.age.is_over_60 else 0.0)
    return min(max(round(score + visitor.draws.normal(0, p.rating_sd)), 1), 5)
