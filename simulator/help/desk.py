"""A desk that sends people out: commands come in, errands go out, reports come back.

The desk never looks at the truth. It sends a member of its crew when a command says so, at once if one is free; the
member travels on the map, finds what there is to find (`aid`), reports it, does what can be done, reports that, and
is free. It also makes telephone calls, as many at a time as it likes. The commands and reports are described in
`haina.contract.help`.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from haina.contract.help import HELP_DESK, HELP_REPORT, HELP_RESULT, TROUBLE
from haina.contract.measurement import MAX_TEXT_CHARS, Value
from simulator.care.body import ASLEEP
from simulator.care.misfortune import Misfortune
from simulator.crew import Crew, Member
from simulator.help.aid import ON_SCENE_MEAN_S, do, find
from simulator.help.parameters import HelpParameters
from simulator.town import Device, Refused, Site

_LEAST_URGENT, _USUAL_PRIORITY = 9, 5
_RINGS_S, _TALKS_S = 12.0, 60.0  # assumed
_RINGS_OUT_S = 45.0  # assumed


@dataclass
class Errand:
    """Somebody on the way to a home, or waiting to be."""

    id: str
    home: Misfortune
    process: simpy.Process | None = None
    member: Member | None = None


class Desk:
    """One base's desk. It serves `homes`, by their ids."""

    def __init__(
        self, site: Site, homes: Mapping[str, Misfortune], p: HelpParameters, crew: Crew, helper: str, serves: str
    ) -> None:
        self.crew, self._homes, self._p, self._helper = crew, homes, p, helper
        self._site, self._env = site, site.env
        self._device = site.device(HELP_DESK, "help-desk", crew=helper, serves=serves)
        self._device.commands.update(send=self.send, call=self.call, recall=self.recall)
        self._errands: dict[str, Errand] = {}
        self._called: set[str] = set()
        self._count = 0

    # -- commands ------------------------------------------------------------------------------

    def send(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Send somebody to a home."""
        home = self._home(args, {"home", "reason", "priority", "search"})
        priority, reason, search = (
            args.get("priority", _USUAL_PRIORITY),
            args.get("reason", ""),
            args.get("search", False),
        )
        if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= _LEAST_URGENT:
            raise Refused(f"priority must be a whole number from 0 to {_LEAST_URGENT}")
        if not isinstance(reason, str) or len(reason) > MAX_TEXT_CHARS or not reason.isprintable():
            raise Refused(f"reason must be printable text of at most {MAX_TEXT_CHARS} characters")
        if not isinstance(search, bool):
            raise Refused("search must be true or false")
        for errand in self._errands.values():
            if errand.home is home:
                site = home.home.site.id
                raise Refused(f"errand {errand.id} to {site} is under way already", "help_sent", site=site)
        errand = Errand(self._next_id(), home)
        self._errands[errand.id] = errand
        errand.process = self._env.process(self._run(errand, reason, priority, search))
        return {"errand": errand.id, "free": self.crew.free, "waiting": self.crew.waiting}

    def recall(self, args: Mapping[str, Any]) -> None:
        """Call back whoever has not arrived yet."""
        errand = self._errands.get(str(args.get("errand", "")))
        if errand is None or errand.process is None:
            raise Refused("errand must name one that is under way")
        if errand.member is not None:
            raise Refused(f"{errand.member.device.id} is at {errand.home.home.site.id} already")
        self._env.timeout(0).callbacks.append(lambda _: self._turn_back(errand))  # who was just sent has not begun yet

    def _turn_back(self, errand: Errand) -> None:
        if errand.process is not None and errand.id in self._errands and errand.member is None:
            errand.process.interrupt()

    def call(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Call a resident, at home or wherever their telephone is."""
        home = self._home(args, {"home"})
        if home.home.site.id in self._called:
            site = home.home.site.id
            raise Refused(f"{site} is being called already", "called_already", site=site)
        errand = self._next_id()
        self._called.add(home.home.site.id)
        self._env.process(self._telephone(errand, home))
        return {"errand": errand}

    def _home(self, args: Mapping[str, Any], known: Collection[str]) -> Misfortune:
        unknown = sorted(set(args) - set(known))
        if unknown:
            raise Refused(f"the desk knows {', '.join(sorted(known))} here, not {', '.join(map(str, unknown))}")
        home = self._homes.get(str(args.get("home", "")))
        if home is None:
            raise Refused(f"home must name one that {self._site.id} serves")
        return home

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._site.id}-{self._site.town.boot}-{self._count}"

    # -- errands -------------------------------------------------------------------------------

    def _run(self, errand: Errand, reason: str, priority: int, search: bool) -> Generator[Any, Any, None]:
        env, home, began_s = self._env, errand.home, self._env.now
        try:
            member = yield from self.crew.send(home.home.site, errand=reason or "check", priority=priority)
        except simpy.Interrupt:
            del self._errands[errand.id]
            self._result(self._device, errand, "recalled", 0.0)
            return
        errand.member, arrived_s = member, env.now
        home.home.open_door()
        home.home.infrared["hallway"].trigger()
        found = find(home)
        self._report(member.device, errand.id, home, self._helper, found, arrived_s - began_s, member.travelled_s)
        done = do(home, found, self._helper)
        draws = home.home.site.stream(f"on scene {errand.id}")
        yield env.timeout(draws.lognormal_mean_cv(ON_SCENE_MEAN_S[done], self._p.on_scene_cv))
        if found == "nobody" and search:
            yield env.timeout(draws.exponential(self._p.search_mean_s))
            if home.wandering.is_lost:
                home.wandering.bring_home()
                done = "brought_home"
        self._result(member.device, errand, done, env.now - arrived_s)
        del self._errands[errand.id]
        self.crew.release(member)

    def _telephone(self, errand: str, home: Misfortune) -> Generator[Any, Any, None]:
        env, draws, p = self._env, home.home.site.stream(f"call {errand}"), self._p
        life, began_s = home.life, self._env.now
        asleep = home.home.bodies.pulse_rise_bpm[home.home.number] == ASLEEP
        if home.wandering.is_lost:
            answers = 0.0
        elif home.falls.is_lying:
            answers = p.answers_lying
        elif life.is_out:
            answers = p.answers_out
        else:
            answers = p.answers_asleep if asleep else p.answers_awake
        if draws.chance(answers):
            yield env.timeout(draws.exponential(_RINGS_S) + draws.exponential(_TALKS_S))
            found = "out" if life.is_out else find(home)
            if found in {"water", "no_wristband"}:
                found = "well"  # nobody notices these by being called
        else:
            yield env.timeout(_RINGS_OUT_S)
            found = "no_answer"
        self._called.remove(home.home.site.id)
        self._report(self._device, errand, home, "telephone", found, env.now - began_s, None)

    # -- reports -------------------------------------------------------------------------------

    def _report(
        self,
        device: Device,
        errand: str,
        home: Misfortune,
        helper: str,
        found: str,
        response_s: float,
        travel_s: float | None,
    ) -> None:
        said: dict[str, Value] = {
            "errand": errand,
            "home": home.home.site.id,
            "helper": helper,
            "found": found,
            "trouble": found in TROUBLE,
            "response_s": float(round(response_s)),
        }
        if travel_s is not None:
            said["travel_s"] = float(round(travel_s))
        if helper in {"nurse", "ambulance"} and not home.life.is_out:
            pulse_bpm, breaths_brpm, spo2_pct = home.home.bodies.examined(home.home.number)
            said |= {
                "heart_rate_bpm": pulse_bpm,
                "breathing_rate_brpm": breaths_brpm,
                "spo2_pct": spo2_pct,
                "temperature_c": round(home.illness.temperature_c, 1),
            }
        device.send(HELP_REPORT, said)

    def _result(self, device: Device, errand: Errand, done: str, on_scene_s: float) -> None:
        device.send(
            HELP_RESULT,
            {
                "errand": errand.id,
                "home": errand.home.home.site.id,
                "helper": self._helper,
                "done": done,
                "on_scene_s": float(round(on_scene_s)),
            },
        )
