"""When a broker holds back: it sends so many messages ahead of their acknowledgement, and not one more.

The collector acknowledges after each commit. If the broker has filled its allowance by then, time after time, it is
the allowance that bounds the line and not the collector: worth one sentence, with the name of the setting that looks
like the cause, and one more when it is over. From here it looks like a number of unacknowledged messages that commit
after commit, with no pause between them, meets and none exceeds.
"""

from typing import Final

STALL_S: Final = 1.0
STALL_COMMITS: Final = 20
STALL_SHARE: Final = 0.1
"""It is a stall when over so long a time so many commits, and such a share of them, met the highest number."""

OVER_S: Final = 5.0
"""It is over when for so long no commit met that number. What was the highest is forgotten as soon."""

PAUSE_S: Final = 0.1
"""A pause as long as this before a commit: the broker had had nothing more to send. A commit takes some milliseconds,
on a busy machine some tens."""

LEAST_MESSAGES: Final = 10
"""A smaller number is a quiet town's usual rhythm."""

_LIMITS: Final = {
    20: "max_inflight_messages of Mosquitto, which is 20 unless it is set",
    100: "the 100 messages that the embedded broker (iotcore, rumqttd) has in flight, which cannot be set",
    1_000: "max_queued_messages of Mosquitto, which is 1,000 unless it is set, and drops what is more",
}
_OTHER: Final = "the broker's limit on messages in flight (max_inflight_messages of Mosquitto)"


class Stall:
    """Watches for a broker that holds back."""

    def __init__(self) -> None:
        self.messages = 0
        """At how many unacknowledged messages the broker holds back; 0 when it does not."""
        self._highest = self._commits = self._met = 0
        self._since_s = self._last_s = self._met_s = float("-inf")

    @property
    def sentence(self) -> str | None:
        """What it looks like, or None."""
        if not self.messages:
            return None
        limit = _LIMITS.get(self.messages, _OTHER)
        return f"the broker holds back at {self.messages:,} unacknowledged messages; that looks like {limit}"

    def committed(self, unacknowledged: int, now_s: float) -> bool:
        """A commit is done, with so many messages unacknowledged; whether the sentence changed."""
        before = self.messages
        without_pause = now_s - self._last_s <= PAUSE_S
        self._last_s = now_s
        if unacknowledged > self._highest or now_s - self._since_s > OVER_S:
            self._highest, self._commits, self._met, self._since_s = unacknowledged, 0, 0, now_s
        self._commits += 1
        if unacknowledged == self._highest and without_pause:
            self._met += 1
            if unacknowledged == self.messages:
                self._met_s = now_s
            elif unacknowledged >= LEAST_MESSAGES and self._is_stall(now_s):
                self.messages, self._met_s = unacknowledged, now_s
        return self.messages != before

    def _is_stall(self, now_s: float) -> bool:
        often = self._met >= max(STALL_COMMITS, STALL_SHARE * self._commits)
        return often and now_s - self._since_s >= STALL_S

    def tick(self, now_s: float) -> bool:
        """Time passes; whether it is over now."""
        if self.messages and now_s - self._met_s > OVER_S:
            self.messages = 0
            return True
        return False
