"""A grid station: the desk where the incidents of an area are opened, assigned and closed, and the crew that goes out.

The first report of a kind of trouble at a block opens an *incident*; further ones while it is open are seen to along
with it. It is *assigned* by a command from outside, or by the station itself after an assumed time of triage, which is
the stand-in for a dispatcher: the command `automatic` switches it off and on. Then it waits for the crew
(`simulator/crew.py`), urgent ones first, until a member has *arrived*. There is work to do, or nothing to find, or the
trouble is gone; then it is *closed*. Some work does not help, and the incident is *reopened* after a while.

The desk's commands are those of `haina.contract.governance`.

Incidents are numbered from 1, and from 1,000,001 when the run is started in its folder for the second time, so that no
two of a run have the same number.
"""

from collections.abc import Generator, Mapping
from typing import Any

import simpy

from haina.contract.governance import INCIDENT, INCIDENT_BACKLOG, INCIDENT_DESK, MOST_LISTED
from haina.contract.measurement import Value
from simulator.crew import Crew
from simulator.governance.parameters import GovernanceParameters
from simulator.governance.trouble import Trouble
from simulator.town import Refused, Site

Process = Generator[Any, Any, None]

BACKLOG_EVERY_S = 300
# Assumed: who is seen to first.
PRIORITIES = {
    "lift_fault": 1,
    "flooding": 2,
    "water_leak": 3,
    "noise": 4,
    "illegal_parking": 5,
    "bin_overflow": 6,
}
_MOST_S = 1e8
_NUMBERS_OF_A_START = 1_000_000  # of one station: centuries


class Incident:
    """What the station knows of a trouble."""

    def __init__(
        self, number: int, kind: str, block: Site, source: str, deadline_s: float, troubles: list[Trouble]
    ) -> None:
        self.number, self.kind, self.block, self.source = number, kind, block, source
        self.troubles = troubles
        self.opened_s = self.step_s = block.env.now
        self.deadline_s = self.opened_s + deadline_s
        self.priority = PRIORITIES[kind]
        self.assigned: simpy.Event = block.env.event()
        self.is_triaged = False
        self.stage = "opened"
        self.process: simpy.Process | None = None

    @property
    def lasts(self) -> bool:
        """Whether anything of what was reported still is wrong."""
        return any(trouble.lasts for trouble in self.troubles)

    @property
    def errand(self) -> str:
        return f"{self.kind} {self.number}"


class Station:
    """The desk and the crew of an area."""

    def __init__(self, site: Site, blocks: int, p: GovernanceParameters) -> None:
        self._site, self._env, self._p = site, site.env, p
        self._desk = site.device(INCIDENT_DESK, "incident-desk")
        members = max(round(blocks * p.crew_per_block), 1)
        self.crew = Crew(site, "crew", members, p.crew_m_per_s, turnout_s=p.turnout_min * 60)
        self.open: dict[int, Incident] = {}
        self._opened = (site.town.starts - 1) * _NUMBERS_OF_A_START
        self._is_automatic = True
        self._draws = site.stream("desk")
        self._desk.commands |= {
            "assign": self._obey_assign,
            "prioritise": self._obey_prioritise,
            "automatic": self._obey_automatic,
        }
        self._desk.questions["incidents"] = self._list_incidents

    def told_of(self, kind: str, block: Site, source: str, trouble: Trouble | None) -> None:
        """A sensor or a resident reports something; there may be nothing behind it."""
        troubles = [] if trouble is None else [trouble]
        known = self._open_at(kind, block)
        if known is not None:
            known.troubles += troubles
            return
        self._opened += 1
        incident = Incident(self._opened, kind, block, source, self._p.of("deadline_h", kind) * 3600, troubles)
        self.open[incident.number] = incident
        self.say(incident, "opened")
        incident.process = self._env.process(self._handle(incident))

    def _open_at(self, kind: str, block: Site) -> Incident | None:
        return next((each for each in self.open.values() if each.kind == kind and each.block is block), None)

    # -- an incident's life --------------------------------------------------------------------

    def _handle(self, incident: Incident) -> Process:
        draws, p = self._draws, self._p
        while True:
            self._env.process(self._triage(incident, incident.assigned, draws.exponential(p.triage_min * 60)))
            yield incident.assigned
            self.say(incident, "assigned")
            member = yield from self._send_crew(incident)
            self.say(incident, "arrived")
            outcome = yield from self._see_to(incident)
            self.crew.release(member)
            del self.open[incident.number]
            self.say(incident, "closed", outcome=outcome, late=self._env.now > incident.deadline_s)
            if not incident.lasts:
                return
            yield self._env.timeout(draws.exponential(p.reopened_after_h * 3600))
            if not incident.lasts or self._open_at(incident.kind, incident.block):
                return
            self._reopen(incident)

    def _see_to(self, incident: Incident) -> Generator[Any, Any, str]:
        """What a crew does where it was sent, and what it makes of it."""
        helps = not self._draws.chance(self._p.reopened_share)
        if not incident.lasts:
            yield self._env.timeout(self._draws.exponential(self._p.look_min * 60))
            return "moved_on" if incident.troubles else "nothing_found"
        yield self._env.timeout(self._work_s(incident.kind))
        if helps:
            for trouble in incident.troubles:
                trouble.end("crew")
        return "resolved"

    def _work_s(self, kind: str) -> float:
        mean_s = self._p.of("work_min", kind) * 60
        return self._draws.lognormal_mean_cv(mean_s, self._p.work_cv) if self._p.work_cv else mean_s

    def _reopen(self, incident: Incident) -> None:
        incident.assigned, incident.is_triaged = self._env.event(), False
        incident.deadline_s = self._env.now + self._p.of("deadline_h", incident.kind) * 3600
        self.open[incident.number] = incident
        self.say(incident, "reopened")

    def _triage(self, incident: Incident, assigned: simpy.Event, after_s: float) -> Process:
        yield self._env.timeout(after_s)
        if incident.assigned is assigned:  # it may have been reopened meanwhile
            incident.is_triaged = True
            if self._is_automatic:
                self._assign(incident)

    def _assign(self, incident: Incident) -> None:
        if not incident.assigned.triggered:
            incident.assigned.succeed()

    def _send_crew(self, incident: Incident) -> Generator[Any, Any, Any]:
        """Until somebody has arrived; who is given another priority meanwhile queues anew."""
        while True:
            try:
                member = yield from self.crew.send(incident.block, errand=incident.errand, priority=incident.priority)
            except simpy.Interrupt:
                continue
            return member

    # -- what is said --------------------------------------------------------------------------

    def say(self, incident: Incident, stage: str, **more: Value) -> None:
        now = self._env.now
        said: dict[str, Value] = {
            "number": incident.number,
            "incident": incident.kind,
            "stage": stage,
            "source": incident.source,
            "block": incident.block.id,
            "priority": incident.priority,
            "since_opened_s": float(round(min(now - incident.opened_s, _MOST_S))),
            "stage_s": float(round(min(now - incident.step_s, _MOST_S))),
        }
        incident.step_s, incident.stage = now, stage
        self._desk.send(INCIDENT, said | more)

    def report_backlog(self, at_s: float) -> None:
        """What lies on the desk."""
        incidents = self.open.values()
        oldest_s = max((at_s - incident.opened_s for incident in incidents), default=0.0)
        self._desk.send(
            INCIDENT_BACKLOG,
            {
                "open_incidents": len(incidents),
                "unassigned_incidents": sum(not incident.assigned.triggered for incident in incidents),
                "waiting_incidents": self.crew.waiting,
                "overdue_incidents": sum(at_s > incident.deadline_s for incident in incidents),
                "oldest_s": float(round(min(max(oldest_s, 0.0), _MOST_S))),
                "free_members": self.crew.free,
            },
            at_s,
        )

    # -- commands ------------------------------------------------------------------------------

    def _list_incidents(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """What lies on the desk, what nobody sees to first."""
        now, start_ms = self._env.now, self._site.town.start_ms
        order = sorted(
            self.open.values(), key=lambda each: (each.assigned.triggered, each.priority, each.opened_s, each.number)
        )
        return {
            "automatic": self._is_automatic,
            "free_members": self.crew.free,
            "open_incidents": len(order),
            "incidents": [
                {
                    "number": each.number,
                    "incident": each.kind,
                    "block": each.block.id,
                    "stage": each.stage,
                    "priority": each.priority,
                    "opened": start_ms + round(each.opened_s * 1000),
                    "overdue": now > each.deadline_s,
                }
                for each in order[:MOST_LISTED]
            ],
        }

    def _named(self, args: Mapping[str, Any]) -> Incident:
        number = args.get("incident")
        incident = self.open.get(number) if isinstance(number, int) and not isinstance(number, bool) else None
        if incident is None:
            raise Refused(f"there is no open incident {number!r}", "incident_not_open", incident=number)
        return incident

    def _obey_assign(self, args: Mapping[str, Any]) -> None:
        incident = self._named(args)
        number = incident.number
        if incident.assigned.triggered:
            raise Refused(f"incident {number} is assigned already", "incident_assigned", incident=number)
        self._assign(incident)

    def _obey_prioritise(self, args: Mapping[str, Any]) -> str | None:
        incident, priority = self._named(args), args.get("priority")
        if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 9:
            return f"a priority is a whole number from 0 to 9, got {priority!r}"
        if any(member.errand == incident.errand for member in self.crew.members):
            number = incident.number
            raise Refused(f"somebody sees to incident {number} already", "incident_attended", incident=number)
        incident.priority = priority
        if incident.assigned.processed and incident.process is not None:
            incident.process.interrupt()
        return None

    def _obey_automatic(self, args: Mapping[str, Any]) -> str | None:
        on = args.get("on")
        if not isinstance(on, bool):
            return f"`on` is true or false, got {on!r}"
        self._is_automatic = on
        if on:
            for incident in self.open.values():
                if incident.is_triaged:
                    self._assign(incident)
        return None
