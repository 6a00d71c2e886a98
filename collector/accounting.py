"""Who has said what: which readings of each device have come, which are missing, which came twice.

A device counts its readings with `seq`, 1, 2, 3 … within a `boot`. For every (device, boot) a `Sequence` keeps the
set of numbers received, in little memory: everything up to `contiguous` has come, except the `gaps` that were given
up; `above` are those that came early, past a hole that may still be filled. From that one set follow three things:
a reading that is in it is a *duplicate*; a number below a given-up hole is *missing*; and `contiguous` is what the
collector can promise a gateway in a watermark.

A hole is given up when 20,000 readings wait behind it, or when it has stood for a while (`give_up`): a watermark that
never moves would stall the gateway. What arrives later after all is not lost: it is still taken, and no longer
missing. But a gateway that lets go of what a watermark covers would lose it; for one that promises to say again what is
not covered (`Status.keeps`) a hole stands as long as it may still be filled, and time alone gives up none. Unless it is
us who do not take what fills it: of a device with rejected messages holes are given up by time.

A boot is a name and not an order: a town that is founded anew may have a lower one than the town before. The last
two that a device spoke in are kept, so that what a gateway resends from before a restart finds its place. A device
that begins again *without* a new boot shows itself by its event time: a number it has used, with a time later than
all before, is no duplicate, and starts a new sequence.

A collector that takes an area over begins where the last one's watermark ends (`Accounting.take_over`): the numbers up
to there are had *elsewhere*. They are neither received here nor missing, and when they come again they are duplicates.

A device's *habit* is the longest it usually keeps silent, in event time: what `collector.presence` measures a silence
by. It grows with every longer gap between two readings. One gap teaches a device of more than three days no more than
the silence that would have been noticed, so a flat battery over a weekend does not make silence usual.

Where memory ends -- a device with more than 64 given-up holes, a third boot -- the collector cannot know whether it
had a reading, and takes it (for the holes, counted as *unverified*): a store drops a second copy by its key, but
nobody can restore a reading that was dropped.

All of this is a pure function of the readings in the order they were journaled and of a few notes (`Notes`) beside
them, so it survives kill -9: a snapshot, and the journal since.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from haina.contract import Point, Topic, TopicClass, Watermark, encode
from haina.contract.message import MAX_SITE_DEVICES
from haina.contract.topic import GATEWAY

MAX_EARLY: Final = 20_000
"""Readings of a device that may wait behind its holes before the first are given up: as many as a town's usual window,
so that no hole is given up that a gateway can still fill."""

MAX_GAPS: Final = 64
"""Given-up holes that are remembered for one device and boot. Assumed: a link worse than that is not worth more."""

LEAST_SILENCE_MS: Final = 600_000
SILENCE_HABITS: Final = 3
"""A device is silent after three times its habit, and never before 10 minutes. Assumed: two readings in a row may fail
to be said or be late, and a minute's pulse that pauses for less is not worth an operator's glance."""

HABIT_FORMED_MS: Final = 3 * 86_400_000
"""Through its first three days every gap teaches a device's habit in full. Assumed: a motion sensor has met its
nights by then."""

DeviceKey = tuple[str, str, str]
"""Area, site, device."""


ROUNDS: Final = 3
"""So often what is right behind a hole must have come again before the hole is given up although much is said again.
A gateway says again in order, so one that still had the readings would have said them first; once may be the broker."""

KEPT_ROUNDS: Final = 12
"""The same, where the gateway promised to keep what is missing. More often, because a broker whose queue is full may
drop nine of ten messages, and then passes some hole three times by chance. Assumed; two minutes of a gateway's."""

REJECTED_FOR: Final = 2
"""A device of which a message was rejected is one whose gateway keeps nothing, for so many times the patience with such
a one: it may say again for ever what will never be taken."""


class Mark(NamedTuple):
    """Since when there is a hole, between `filled` and `behind`, of those below the number `through`."""

    since_s: float
    through: int
    filled: int
    behind: int
    stands_s: float  # since when, however much was said again meanwhile


class Sequence:
    """The numbers received from one device in one boot."""

    __slots__ = ("above", "boot", "contiguous", "elsewhere", "floor", "gaps", "highest", "mark", "missing", "rounds")

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.contiguous = 0
        self.above: set[int] = set()
        self.highest = 0  # of `above`; meaningless while that is empty
        self.gaps: list[list[int]] = []  # [first, last] of the holes given up, ascending
        self.missing = 0
        self.elsewhere = 0  # numbers that another collector has
        self.floor = 0  # up to here holes were forgotten
        self.mark: Mark | None = None  # not persisted
        self.rounds = 0  # how often what is right behind the marked hole came again

    def add(self, seq: int, device: "Device") -> bool:
        """Take a reading's number; False if it had come before. Counts into `device` what was out of order."""
        contiguous = self.contiguous
        if seq == contiguous + 1:
            self.contiguous = seq
            if self.above:
                device.reordered += 1
                self._absorb()
            return True
        if seq > contiguous:
            if seq in self.above:
                self.rounds += self.mark is not None and seq == self.mark.behind
                return False
            if self.above and seq < self.highest:
                device.reordered += 1
            else:
                self.highest = seq
            self.above.add(seq)
            if len(self.above) > MAX_EARLY:
                self.give_up(sorted(self.above)[MAX_EARLY // 2])  # many at once, for it takes a while
            return True
        for index, (first, last) in enumerate(self.gaps):
            if first <= seq <= last:
                self.gaps[index : index + 1] = [gap for gap in ([first, seq - 1], [seq + 1, last]) if gap[0] <= gap[1]]
                self._forget_gaps()
                self.missing -= 1
                device.reordered += 1
                return True
        if seq <= self.floor:
            device.unverified += 1
            return True
        return False

    def give_up(self, through: int) -> None:
        """Give up every hole below the number `through`, which has come or is past what has."""
        for seq in sorted(self.above):
            if self.contiguous >= through:
                break
            if seq > self.contiguous:
                self._give_up_before(seq)

    def take_over(self, through: int) -> bool:
        """Learn that another collector has everything through this number; False if that was no news.

        What came here as well stays counted.
        """
        if through <= self.contiguous:
            return False
        came = {seq for seq in self.above if seq <= through}
        self.elsewhere += through - self.contiguous - len(came)
        self.above -= came
        self.contiguous = through
        self._absorb()
        return True

    def watch_hole(self, now_s: float, through: int) -> None:
        """Begin the wait for the first hole, and with it for those up to the number `through`."""
        self.mark = Mark(now_s, through, self.contiguous, min(self.above), now_s)
        self.rounds = 0

    def _give_up_before(self, seq: int) -> None:
        first, last = self.contiguous + 1, seq - 1
        self.gaps.append([first, last])
        self.missing += last - first + 1
        self._forget_gaps()
        self.contiguous = last
        self._absorb()

    def _forget_gaps(self) -> None:
        while len(self.gaps) > MAX_GAPS:
            self.floor = self.gaps.pop(0)[1]

    def _absorb(self) -> None:
        above, contiguous = self.above, self.contiguous
        while contiguous + 1 in above:
            contiguous += 1
            above.remove(contiguous)
        self.contiguous = contiguous

    @property
    def received(self) -> int:
        """How many different numbers have come."""
        return self.contiguous - self.missing - self.elsewhere + len(self.above)

    @property
    def waited_for(self) -> int:
        """How many numbers are in holes that may still be filled."""
        return self.highest - self.contiguous - len(self.above) if self.above else 0

    def state(self) -> list[Any]:
        """All that must survive a restart; a copy, for it is written by another thread."""
        gaps = [list(gap) for gap in self.gaps]
        above = sorted(self.above)
        return [self.boot, self.contiguous, self.highest, self.floor, self.missing, above, gaps, self.elsewhere]

    @classmethod
    def restored(cls, state: list[Any]) -> "Sequence":
        sequence = cls(state[0])
        _, sequence.contiguous, sequence.highest, sequence.floor, sequence.missing, above, gaps, *later = state
        sequence.above, sequence.gaps = set(above), gaps
        sequence.elsewhere = later[0] if later else 0  # older journals do not have it
        return sequence


class Device:
    """A device as the collector knows it: its last two boots, and counts over all of them."""

    __slots__ = (
        "current",
        "duplicates",
        "earlier_missing",
        "earlier_received",
        "first_ms",
        "habit_ms",
        "last_ms",
        "name",
        "previous",
        "rejected",
        "rejected_until_s",
        "reordered",
        "site",
        "touched",
        "unsaved",
        "unverified",
    )

    def __init__(self, site: "Site", name: str) -> None:
        self.site = site
        self.name = name
        self.current = Sequence(-1)  # no boot has this number: the first reading replaces it
        self.previous: Sequence | None = None
        self.first_ms = 0  # the event time of the reading that made it known
        self.last_ms = 0  # the latest event time; 0 as long as it has said nothing here
        self.habit_ms = 0  # the longest it usually keeps silent
        self.duplicates = 0
        self.reordered = 0
        self.unverified = 0
        self.earlier_received = 0  # of boots that are no longer kept
        self.earlier_missing = 0
        self.rejected = False  # a message of it was, since holes were last looked at; this and the next not persisted
        self.rejected_until_s = float("-inf")
        self.touched = False  # has had a reading since the last `Accounting.settle_touched`
        self.unsaved = False  # differs from its snapshot

    def take(self, boot: int, seq: int, time_ms: int) -> bool:
        """Take a reading's boot, number and event time; False if it had come before."""
        current, previous = self.current, self.previous
        if boot == current.boot:
            taken = current.add(seq, self)
            if not taken and time_ms > self.last_ms > 0:
                taken = self._begin(boot).add(seq, self)
        elif previous is not None and boot == previous.boot:
            self.site.spoken.add(boot)
            taken = previous.add(seq, self)
        else:
            taken = self._begin(boot).add(seq, self)
        if taken and time_ms > self.last_ms:
            if time_ms - self.last_ms > self.habit_ms:
                self.learn(time_ms - self.last_ms)
            self.last_ms = time_ms
        return taken

    def learn(self, gap_ms: int) -> None:
        """Take a gap that is longer than its habit for the new habit, as far as one gap may teach.

        To be told before `last_ms` moves: the gap before the first reading reaches back to 1970.
        """
        if not self.last_ms:
            self.first_ms = gap_ms
            return
        if self.last_ms - self.first_ms > HABIT_FORMED_MS:
            gap_ms = min(gap_ms, max(SILENCE_HABITS * self.habit_ms, LEAST_SILENCE_MS))
        self.habit_ms = gap_ms

    def take_over(self, boot: int, through: int) -> bool:
        """Learn that another collector has everything of this boot through that number; False if that was no news."""
        for sequence in self.sequences:
            if sequence.boot == boot:
                return sequence.take_over(through)
        self._begin(boot).take_over(through)
        return True

    def _begin(self, boot: int) -> Sequence:
        self._retire(self.previous)
        self.previous = self.current if self.current.boot >= 0 else None
        self.current = Sequence(boot)
        self.site.boot = boot
        return self.current

    def _retire(self, sequence: Sequence | None) -> None:
        if sequence is not None:
            sequence.give_up(sequence.highest)
            self.earlier_received += sequence.received
            self.earlier_missing += sequence.missing

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        return (self.current,) if self.previous is None else (self.current, self.previous)

    @property
    def key(self) -> DeviceKey:
        return (self.site.area, self.site.name, self.name)

    @property
    def missing(self) -> int:
        """Readings given up, over all boots."""
        return self.earlier_missing + sum(sequence.missing for sequence in self.sequences)

    @property
    def elsewhere(self) -> int:
        """Readings that another collector has, of the boots that are kept."""
        return sum(sequence.elsewhere for sequence in self.sequences)

    @property
    def received(self) -> int:
        """Readings journaled, over all boots."""
        return self.earlier_received + self.unverified + sum(sequence.received for sequence in self.sequences)

    @property
    def waited_for(self) -> int:
        """Readings that have not come and are not given up."""
        return sum(sequence.waited_for for sequence in self.sequences)

    def state(self) -> list[Any]:
        """All that must survive a restart, as plain lists and numbers."""
        return [
            self.last_ms,
            self.duplicates,
            self.reordered,
            self.unverified,
            self.earlier_received,
            self.earlier_missing,
            [sequence.state() for sequence in self.sequences],
            self.first_ms,
            self.habit_ms,
        ]

    def restore(self, state: list[Any]) -> None:
        (
            self.last_ms,
            self.duplicates,
            self.reordered,
            self.unverified,
            self.earlier_received,
            self.earlier_missing,
            sequences,
            *later,
        ) = state
        self.first_ms, self.habit_ms = later or (0, 0)  # older journals do not have them
        self.current = Sequence.restored(sequences[0])
        self.previous = Sequence.restored(sequences[1]) if len(sequences) > 1 else None
        if self.last_ms >= self.site.boot_ms:
            self.site.boot, self.site.boot_ms = self.current.boot, self.last_ms


def watermark_topic(area: str, site: str) -> bytes:
    """Where a site's gateway hears what is durable."""
    return str(Topic(TopicClass.WATERMARK, area, site, GATEWAY, "durable")).encode()


class Site:
    """A site and its devices; what its gateway is told in one watermark."""

    __slots__ = (
        "area",
        "asks",
        "boot",
        "boot_ms",
        "devices",
        "due_s",
        "known_already",
        "name",
        "owed",
        "spoken",
        "topic",
    )

    def __init__(self, area: str, name: str) -> None:
        self.area = area
        self.name = name
        self.boot = -1  # the one begun last
        self.boot_ms = 0  # when restoring: the latest event time in it
        self.spoken: set[int] = set()  # boots that readings have come from since the last watermark
        self.devices: list[Device] = []
        self.known_already = 0  # its duplicates when holes were last looked at
        self.topic = watermark_topic(area, name)
        self.owed = False  # its watermark moved and has not been published
        self.asks = False  # its watermarks ask for all that is not durable, until one was published
        self.due_s = 0.0  # when it may be published next, on the loop's clock

    @property
    def duplicates(self) -> int:
        """Readings that had come before, of all devices."""
        return sum(device.duplicates for device in self.devices)

    def watermarks(self) -> list[tuple[int, bytes]]:
        """What to publish, as boot and payload: up to which reading each device is complete.

        The boot begun last stands last, so it is what the broker retains; another one is told to the gateway that has
        just spoken in it.
        """
        boots = self.spoken - {self.boot}
        self.spoken.clear()
        return [(boot, self._watermark(boot)) for boot in (*boots, self.boot)]

    def _watermark(self, boot: int) -> bytes:
        durable = {}
        for device in self.devices:
            if device.current.boot == boot:
                durable[device.name] = device.current.contiguous
            elif device.previous is not None and device.previous.boot == boot:
                durable[device.name] = device.previous.contiguous
        return encode(Watermark(boot, durable, self.asks))


class TooManyDevices(Exception):
    """A limit on devices is reached; one sentence."""


class Notes:
    """What the journal's points do not tell: duplicates that were dropped, holes given up, what others have."""

    __slots__ = ("duplicates", "given_up", "taken_over")

    def __init__(self) -> None:
        self.duplicates: dict[DeviceKey, int] = {}
        self.given_up: list[tuple[DeviceKey, int, int]] = []  # device, index of its sequence, through
        self.taken_over: list[tuple[DeviceKey, int, int]] = []  # device, boot, through

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.given_up or self.taken_over)

    def state(self) -> list[Any]:
        return [[[*key, count] for key, count in self.duplicates.items()], self.given_up, self.taken_over]


class Accounting:
    """All devices, up to a limit; a device beyond it is refused by `TooManyDevices`."""

    def __init__(self, max_devices: int = 200_000) -> None:
        self.max_devices = max_devices
        self.devices: dict[DeviceKey, Device] = {}
        self.sites: dict[tuple[str, str], Site] = {}
        self.touched: list[Device] = []  # filled by whoever takes a reading and sets `Device.touched`
        self._unsaved: list[Device] = []

    def device(self, key: DeviceKey) -> Device:
        """The device, made known if it was not. Raises `TooManyDevices`."""
        device = self.devices.get(key)
        if device is None:
            if len(self.devices) >= self.max_devices:
                raise TooManyDevices(f"too many devices: {self.max_devices:,} are known already (--max-devices)")
            site = self.sites.get(key[:2])
            if site is not None and len(site.devices) >= MAX_SITE_DEVICES:
                raise TooManyDevices(f"too many devices: site {key[1]} has {MAX_SITE_DEVICES:,} already")
            device = self._introduce(key)
        return device

    def _introduce(self, key: DeviceKey) -> Device:
        area, site_name, name = key
        site = self.sites.get((area, site_name))
        if site is None:
            site = self.sites[(area, site_name)] = Site(area, site_name)
        device = self.devices[key] = Device(site, name)
        site.devices.append(device)
        return device

    def settle_touched(self) -> list[Site]:
        """The sites, each once, whose devices had readings since the last call and which are not owed already."""
        sites = []
        for device in self.touched:
            device.touched = False
            device.site.spoken.add(device.current.boot)
            if not device.unsaved:
                device.unsaved = True
                self._unsaved.append(device)
            if not device.site.owed:
                device.site.owed = True
                sites.append(device.site)
        self.touched.clear()
        return sites

    def touch(self, device: Device) -> None:
        """Say that a device changed."""
        if not device.touched:
            device.touched = True
            self.touched.append(device)

    def duplicate(self, device: Device, notes: Notes) -> None:
        """Count a reading that had come before."""
        device.duplicates += 1
        key = device.key
        notes.duplicates[key] = notes.duplicates.get(key, 0) + 1
        self.touch(device)  # its gateway resent, so it needs the watermark

    def take_over(self, key: DeviceKey, boot: int, through: int, notes: Notes) -> None:
        """Begin a device where another collector's watermark ends. Raises `TooManyDevices`."""
        device = self.device(key)
        if device.take_over(boot, through):
            notes.taken_over.append((key, boot, through))
            self.touch(device)

    def give_up_stale(
        self,
        now_s: float,
        after_s: float,
        notes: Notes,
        may: Callable[[str], bool] = lambda area: True,
        kept: Mapping[tuple[str, str], int] = {},
    ) -> int:
        """Give up holes that have stood for `after_s` seconds while nothing was said again; answer how many readings.

        Only in areas in which we `may`. Of the boot that a site's gateway has `kept`, time alone gives up none.

        A gateway says again in order, and on a slow line that takes long. While a hole of the site is being filled, or
        what is said again is known already, the turn of its other holes will come: to give one up before would let
        the gateway forget readings that nobody has. But where its turn has been `ROUNDS` times, it has not got them; if
        it promised to keep them, `KEPT_ROUNDS` times: it may be us who reject them.
        """
        waiting: dict[Site, list[tuple[Device, int, Sequence, Mark]]] = {}
        for device in self.devices.values():
            for index, sequence in enumerate(device.sequences):
                mark = sequence.mark
                if not sequence.above or not may(device.site.area):
                    sequence.mark = None
                elif mark is None or sequence.contiguous >= mark.through:
                    sequence.watch_hole(now_s, sequence.highest)
                    device.site.known_already = device.site.duplicates
                else:
                    waiting.setdefault(device.site, []).append((device, index, sequence, mark))
        given_up = 0
        for site, holes in waiting.items():
            said_again = site.duplicates != site.known_already
            said_again |= any(sequence.contiguous > mark.filled for _, _, sequence, mark in holes)
            site.known_already = site.duplicates
            kept_boot = kept.get((site.area, site.name))
            for device, index, sequence, mark in holes:
                if device.rejected:
                    device.rejected, device.rejected_until_s = False, now_s + REJECTED_FOR * after_s
                is_kept = sequence.boot == kept_boot and now_s >= device.rejected_until_s
                in_vain = sequence.rounds >= (KEPT_ROUNDS if is_kept else ROUNDS) and now_s - mark.stands_s >= after_s
                if sequence.contiguous > mark.filled:
                    sequence.watch_hole(now_s, mark.through)
                elif (said_again or is_kept) and not in_vain:
                    sequence.mark = mark._replace(since_s=now_s)
                elif in_vain or now_s - mark.since_s >= after_s:
                    before, through = sequence.missing, mark.behind if in_vain else mark.through
                    sequence.give_up(through)
                    given_up += sequence.missing - before
                    notes.given_up.append((device.key, index, through))
                    sequence.mark = None
                    self.touch(device)
        return given_up

    def forgive(self) -> None:
        """Begin the wait for every hole anew: nothing could come while the broker or the journal was not there."""
        for device in self.devices.values():
            for sequence in device.sequences:
                sequence.mark = None

    # Surviving a restart

    def unsaved(self) -> Iterator[tuple[DeviceKey, list[Any]]]:
        """The state of every device that changed since the last call, which is then taken for saved."""
        self.settle_unsaved()
        unsaved, self._unsaved = self._unsaved, []
        for device in unsaved:
            device.unsaved = False
            yield device.key, device.state()

    @property
    def has_unsaved(self) -> bool:
        return bool(self._unsaved or self.touched)

    def settle_unsaved(self) -> None:
        for device in self.touched:
            if not device.unsaved:
                device.unsaved = True
                self._unsaved.append(device)

    def restore(self, key: DeviceKey, state: list[Any]) -> None:
        """Take a device from a snapshot; a limit that was lowered since does not forget it."""
        (self.devices.get(key) or self._introduce(key)).restore(state)

    def replay(self, points: Iterable[Point]) -> None:
        """Take the readings of the journal again, in their order."""
        for point in points:
            if not point.measurement:  # its site was forgotten (`Journal.forget`)
                continue
            key = (point.area, point.site, point.device)
            device = self.devices.get(key) or self._introduce(key)
            device.take(point.boot, point.seq, point.time_ms)
            self.touch(device)

    def replay_notes(self, state: list[Any]) -> None:
        """Take the notes of the journal again, in their place among the readings."""
        duplicates, given_up, *later = state
        for *key, count in duplicates:
            device = self.devices.get(tuple(key)) or self._introduce(tuple(key))
            device.duplicates += count
            self.touch(device)
        for key, index, through in given_up:
            device = self.devices[tuple(key)]
            device.sequences[index].give_up(through)
            self.touch(device)
        for key, boot, through in later[0] if later else ():
            device = self.devices.get(tuple(key)) or self._introduce(tuple(key))
            device.take_over(boot, through)
            self.touch(device)
