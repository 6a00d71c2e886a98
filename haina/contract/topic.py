"""Where a message goes: `haina/v1/{class}/{area}/{site}/{device}/{name}`.

The *class* says what kind of thing is being said, so one subscription and one access rule serve each class:

| class       | says                                             | written by  | retained | `name` is            |
|-------------|--------------------------------------------------|-------------|----------|----------------------|
| `telemetry` | a reading                                        | gateway     | no       | the measurement      |
| `status`    | whether a gateway is connected (with a will)     | gateway     | yes      | `connection`         |
| `meta`      | what a device is and where                       | gateway     | yes      | `info`               |
| `command`   | please do something                              | anyone allowed | no    | the command          |
| `reply`     | what became of a command                         | gateway     | no       | the command          |
| `watermark` | up to which reading a site's data is durable     | collector   | yes      | `durable`            |
| `alarm`     | reserved for the alarm rules                     | collector   | yes      | the rule             |
| `index`     | reserved for the digital transformation index    | collector   | yes      | the indicator        |

Beside these there is one topic for the town's clock, `haina/v1/clock`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "haina/v1"
CLOCK_TOPIC = f"{PREFIX}/clock"
GATEWAY = "gateway"  # the device that stands for its whole site in status, meta and watermark

MAX_LEVEL_CHARS = 48
_LEVEL = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


class BadTopic(ValueError):
    """The topic is not one of the contract's; the message says which part is wrong."""


class TopicClass(StrEnum):
    """What kind of thing a message says."""

    TELEMETRY = "telemetry"
    STATUS = "status"
    META = "meta"
    COMMAND = "command"
    REPLY = "reply"
    WATERMARK = "watermark"
    ALARM = "alarm"
    INDEX = "index"

    @property
    def retained(self) -> bool:
        return self in _RETAINED

    @property
    def filter(self) -> str:
        """The one subscription that receives every message of this class."""
        return f"{PREFIX}/{self}/+/+/+/+"


_RETAINED = frozenset({TopicClass.STATUS, TopicClass.META, TopicClass.WATERMARK, TopicClass.ALARM, TopicClass.INDEX})


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic. Every level is lower-case letters, digits, `_`, `.` and `-`: safe as a tag in any store."""

    topic_class: TopicClass
    area: str
    site: str
    device: str
    name: str

    def __str__(self) -> str:
        return f"{PREFIX}/{self.topic_class}/{self.area}/{self.site}/{self.device}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Topic":
        """Parse and check a topic. Raises BadTopic with a sentence."""
        levels = text.split("/")
        if len(levels) != 7 or levels[0] != "haina":
            raise BadTopic(f"expected haina/v1/class/area/site/device/name, got {text[:200]!r}")
        if levels[1] != "v1":
            raise BadTopic(f"unknown contract version {levels[1][:40]!r}; this is v1")
        try:
            topic_class = TopicClass(levels[2])
        except ValueError:
            raise BadTopic(f"unknown class {levels[2][:40]!r}; one of {', '.join(TopicClass)}") from None
        for level in levels[3:]:
            check_level(level)
        return cls(topic_class, *levels[3:])


def check_level(level: str) -> str:
    """Return `level` if it may stand as an area, site, device or name; raise BadTopic otherwise."""
    if len(level) > MAX_LEVEL_CHARS:
        raise BadTopic(f"{level[:MAX_LEVEL_CHARS]!r}… is longer than {MAX_LEVEL_CHARS} characters")
    if not _LEVEL.match(level):
        raise BadTopic(f"{level!r} must be lower-case letters, digits, '_', '.' and '-'")
    return level
