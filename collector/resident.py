"""A resident, by the only name there is for one: the pseudonymous id of a home, alone or within its area.

`h0042` or `caoyang/h0042`. What is *of* a resident carries the home as its site; what is *about* one merely names it
somewhere, as a rejected message may, a line of a run's truth, or a reading of a nurse who was sent there. There a home
is named without its area, so a namesake's in another area go with it.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cached_property

from haina.contract import Point
from haina.contract.topic import PREFIX, check_level


@dataclass(frozen=True)
class Resident:
    """A site to export or to forget; without an area, the site of that name in any."""

    site: str
    area: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Resident":
        """Read ``SITE`` or ``AREA/SITE``. Raises BadTopic with a sentence."""
        area, slash, site = text.rpartition("/")
        return cls(check_level(site), check_level(area) if slash else None)

    def __str__(self) -> str:
        return self.site if self.area is None else f"{self.area}/{self.site}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of all their points."""
        return {"site": self.site} if self.area is None else {"area": self.area, "site": self.site}

    @property
    def retained_filter(self) -> str:
        """The MQTT filter of everything that is of this site."""
        return f"{PREFIX}/+/{self.area or '+'}/{self.site}/#"

    def is_of(self, area: str, site: str) -> bool:
        """Whether something with these tags is of this resident."""
        return site == self.site and self.area in {None, area}

    def is_in_point(self, point: Point) -> bool:
        """Whether a point is of this resident, or names them."""
        return self.is_of(point.area, point.site) or self.site in point.values

    def is_in(self, topic: str, payload: bytes, reason: str = "") -> bool:
        """Whether a message is of this resident or, where its topic says nobody's, about them."""
        levels = topic.split("/")
        if len(levels) == 7:
            if self.is_of(levels[3], levels[4]):
                return True
            if levels[4] == self.site:
                return False  # the namesake in another area
        return any(self._name.search(text) for text in (topic.encode(), payload, reason.encode()))

    def is_about(self, line: bytes) -> bool:
        """Whether a line of text names them."""
        return bool(self._name.search(line)) and (self.area is None or self.area.encode() in line)

    @cached_property
    def _name(self) -> re.Pattern[bytes]:
        return re.compile(rb"(?<![a-z0-9_.-])" + re.escape(self.site.encode()) + rb"(?![a-z0-9_-])")

    def hashed(self) -> str:
        """Who it was, for somebody who already knows: `salt:sha256(salt + name)`, both in hex."""
        salt = secrets.token_hex(16)
        return f"{salt}:{hashlib.sha256((salt + str(self)).encode()).hexdigest()}"
