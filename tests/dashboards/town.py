"""A small town for the console's tests: readings that can be foretold, and a broker's worth of sites and a clock.

Everything is real but the town itself: readings go to a real `haina store` the way the collector writes them, and
clock, meta, status and replies go over a real broker. What a figure must say can be worked out from here.
"""

import json
import math
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from collector.stores import open_store
from haina import zone
from haina.contract import (
    CLOCK_TOPIC,
    Clock,
    Command,
    Meta,
    Phase,
    Point,
    Reply,
    Status,
    Topic,
    TopicClass,
    decode,
    encode,
    measurement,
    telemetry_payload,
)
from haina.contract.care import ROOMS
from haina.contract.centre import AGE_GROUPS, CAUSES, SERVICES
from haina.contract.governance import INCIDENT_KINDS
from haina.contract.help import DONE, FOUND, HELPERS, TROUBLE

MINUTE_MS = 60_000
DAY_MS = 86_400_000
# Yesterday at 14:00 in Shanghai: a whole window of every width, and past, for stores may hide the future.
NOW_MS = (int(time.time() * 1000) // DAY_MS - 1) * DAY_MS + 6 * 3_600_000
CENTRES = [f"c{number:02d}" for number in range(1, 7)]
HOMES = [f"h{number:03d}" for number in range(1, 25)]
RUN = "test-1"
FAULTY = ("c02", "kiosk-2")
WAVE = {"c01": 9, "c02": 7, "c03": 5, "c04": 4, "c05": 3, "c06": 2}


def area_of(site: str) -> str:
    return f"a{(int(site[1:]) - 1) % 4 + 1:02d}"


def day_wave(at_ms: int) -> float:
    """0 in the night, 1 in the middle of the day (Shanghai)."""
    hour = (at_ms / 3_600_000 + 8) % 24
    return max(0.0, math.sin((hour - 7) / 15 * math.pi)) if 7 < hour < 22 else 0.0


class Writer:
    """Makes points and writes them to a store; counts `seq` by device."""

    def __init__(self, store_url: str) -> None:
        self._store = open_store(store_url)
        self._source = str(uuid.uuid4())
        self._cursor = 0
        self._seqs: dict[tuple[str, str], int] = {}
        self._points: list[Point] = []

    def say(self, name: str, site: str, device: str, at_ms: int, **values: object) -> None:
        key = (site, device)
        self._seqs[key] = self._seqs.get(key, 0) + 1
        ordered = tuple(values.get(field) for field in measurement(name).field_names)
        self._points.append(Point(name, area_of(site), site, device, at_ms, 1, self._seqs[key], ordered))

    def write(self) -> None:
        for first in range(0, len(self._points), 5_000):
            part = self._points[first : first + 5_000]
            self._cursor += len(part)
            self._store.write(self._source, self._cursor, part)
        self._points = []

    def close(self) -> None:
        self._store.close()


def seed(writer: Writer, hours: int = 24) -> None:
    """Readings of the last hours: every five minutes, and every minute of the last twenty."""
    times = [*range(NOW_MS - hours * 3_600_000, NOW_MS - 20 * MINUTE_MS, 5 * MINUTE_MS)]
    times += range(NOW_MS - 20 * MINUTE_MS, NOW_MS + 1, MINUTE_MS)
    for step, at_ms in enumerate(times):
        say_minute(writer, at_ms, step)
    for number, home in enumerate(HOMES[:3]):
        at_ms = NOW_MS - (2 + 5 * number) * 3_600_000
        writer.say("wearable_fall", home, "wristband", at_ms, peak_g=4.5 + number, still_s=30.0)
    writer.say("sos_button", HOMES[4], "sos", NOW_MS - 4 * 3_600_000, pressed=True, battery_pct=88.0)
    writer.write()


def say_minute(writer: Writer, at_ms: int, step: int) -> None:
    """What everybody says at this minute."""
    wave = day_wave(at_ms)
    for number, centre in enumerate(CENTRES):
        inside = round(WAVE[centre] * wave * (1 + 0.25 * math.sin(step / 3 + number))) + 1
        waiting = max(0, inside - 4)
        writer.say("centre_door", centre, "gate", at_ms, entries_persons=1, exits_persons=1, occupancy_persons=inside)
        writer.say(
            "centre_queue",
            centre,
            "tickets",
            at_ms,
            waiting_persons=waiting,
            longest_wait_s=60.0 * waiting,
            arrivals_persons=inside // 2,
            balked_persons=int(waiting > 3),
            reneged_persons=int(waiting > 4),
        )
        air = {"co2_ppm": 430.0 + 55 * inside + 10 * math.sin(step / 5), "temperature_c": 20.5 + 2 * wave}
        writer.say("centre_air", centre, "air", at_ms, **air, humidity_pct=48.0)
        power_w = 900.0 + 180 * number + 700 * wave
        writer.say("centre_energy", centre, "power", at_ms, power_w=power_w, energy_kwh=100 + step * 0.12)
        for kiosk in range(1, 5):
            device = f"kiosk-{kiosk}"
            is_faulty = (centre, device) == FAULTY and at_ms > NOW_MS - 90 * MINUTE_MS
            is_busy = (step * 7 + kiosk * 3 + number) % 10 < 6 * wave
            state = 2 if is_faulty else 1 if is_busy else 0
            fault = "paper_jam" if is_faulty else "none"
            supplies = {"paper_pct": 95.0 - step % 90, "toner_pct": 90.0 - step % 60, "blanks_pct": 80.0 - step % 50}
            writer.say("kiosk_state", centre, device, at_ms, state=state, fault=fault, **supplies)
        if wave > 0.1:
            say_visit(writer, centre, at_ms, step, 3 * number, wait_s=40.0 * waiting + 5 * (step % 9))
    for number, home in enumerate(HOMES):
        asleep = wave == 0.0
        if at_ms % (5 * MINUTE_MS) == 0:
            writer.say(
                "home_bed",
                home,
                "bed",
                at_ms,
                in_bed=asleep,
                heart_rate_bpm=58.0 + number % 6 if asleep else None,
                breathing_rate_brpm=14.0 if asleep else None,
            )
            room = ROOMS[(step + number) % len(ROOMS)]
            if wave > 0.15 * (number % 4):
                writer.say("home_motion", home, f"pir-{room}", at_ms, motion=True)
        heart = 64.0 + 14 * wave + number % 9 + 3 * math.sin(step / 4 + number)
        writer.say(
            "wearable",
            home,
            "wristband",
            at_ms,
            worn=True,
            steps=int(30 * wave * ((step + number) % 3)),
            battery_pct=float(12 + 3 * number),
            heart_rate_bpm=round(heart),
            spo2_pct=float(94 + (step + number) % 5) if step % 2 == 0 else None,
        )
        if step % 12 == number % 12:
            writer.say("home_water", home, "meter", at_ms, volume_m3=10.0 + step / 100, used_l=6.0 + 20 * wave)
            writer.say("home_door", home, "door", at_ms, open=bool((step // 12 + number) % 4 == 0))
            writer.say("home_smoke", home, "smoke", at_ms, smoke=False, battery_pct=90.0)
            say_hour_at_home(writer, home, at_ms, step // 12 + number, wave)
        if step == 0:
            writer.say("home_device", home, "door", at_ms, battery_pct=float(99 - 4 * number), signal_dbm=-70.0)
    if at_ms % (5 * MINUTE_MS) == 0:
        values = {"temperature_c": 6.0 + 8 * wave, "humidity_pct": 70.0 - 20 * wave, "pm25_ug_m3": 35.0 + step % 30}
        writer.say("weather", "w01", "station", at_ms, **values, rain=False)
    say_upkeep(writer, at_ms, step)
    say_zone(writer, at_ms, step, wave)
    say_help(writer, at_ms, step)


def say_visit(writer: Writer, centre: str, at_ms: int, step: int, shift: int, wait_s: float) -> None:
    """One visitor of a centre: through the gate, at a kiosk, and now and then a rating at the exit."""
    turn = step + shift
    seen = {"tries": 1 + (turn % 4 == 0), "outcome": "refused" if turn % 8 == 0 else "passed"}
    writer.say("gate_check", centre, "gate", at_ms, method="card", **seen, wait_s=2.0, duration_s=9.0)
    offered = [(kind, service) for kind, services in SERVICES.items() for service in services]
    kind, service = offered[turn % len(offered)]
    age = AGE_GROUPS[turn // 2 % len(AGE_GROUPS)]
    ending: dict[str, object] = {"outcome": "completed"}
    if turn % 10 == 8:
        ending = {"outcome": "failed", "cause": CAUSES[turn // 10 % len(CAUSES)]}
    elif turn % 10 == 9:
        ending = {"outcome": "assisted", "help_wait_s": 20.0 + step % 70}
    session = {"kind": kind, "service": service, "age_group": age, "wait_s": wait_s, "duration_s": 180.0}
    writer.say("kiosk_session", centre, "kiosk-1", at_ms, **session, **ending)
    if turn % 4 == 1:
        writer.say("centre_rating", centre, "exit", at_ms, rating=5 - (turn // 4 % 9) // 2, age_group=age)


def say_upkeep(writer: Writer, at_ms: int, step: int) -> None:
    """What serves all centres: remote operators, technicians, and now and then a gateway that was cut off."""
    calls = {"waiting_calls": int(step % 12 == 0), "answered_calls": step % 2, "abandoned_calls": 0}
    writer.say("operator_desk", "o01", "desk", at_ms, operators=3, busy_operators=step % 3, **calls)
    if step % 24 == 0:
        place = {"longitude_deg": 121.4, "latitude_deg": 31.25, "travel_s": 0.0, "destination": FAULTY[0]}
        errand = ("repair kiosk", "refill kiosk")[step // 24 % 2]
        writer.say("crew_member", "t01", "technician-1", at_ms, state=2, errand=errand, crew="technician", **place)
        lost = ("power", "uplink")[step // 24 % 2]
        writer.say("gateway_outage", CENTRES[step // 24 % 6], "gateway", at_ms, lost=lost, duration_s=600.0)


def say_hour_at_home(writer: Writer, home: str, at_ms: int, turn: int, wave: float) -> None:
    """What a home's medicine dispenser, stove guard and power meter say each hour; every fifth dose is missed."""
    dose = {"state": 4} if turn % 5 == 4 else {"state": 2, "delay_s": 120.0 * (turn % 5)}
    writer.say("home_medicine", home, "medicine", at_ms, **dose, remaining_doses=20 - turn % 20)
    cooks = wave > 0 and turn % 4 == 0
    writer.say("home_stove", home, "stove", at_ms, on=cooks, unattended_s=60.0 * (turn % 9) if cooks else 0.0)
    writer.say("home_power", home, "mains", at_ms, power_w=80.0 + 300 * wave + 10 * (turn % 6), energy_kwh=turn / 5)


def say_help(writer: Writer, at_ms: int, step: int) -> None:
    """What a committee's desk and its volunteer say at this minute: now and then one is sent, or calls."""
    place = {"longitude_deg": 121.4, "latitude_deg": 31.25}
    writer.say("crew_member", "p01", "volunteer-1", at_ms, state=step // 6 % 4, crew="volunteer", **place)
    writer.say("crew_member", "k01", "crew-1", at_ms, state=step // 6 % 4, crew="crew", **place)
    if step % 6 == 0:
        visit = {
            "errand": f"p01-1-{step}",
            "home": HOMES[step % len(HOMES)],
            "helper": HELPERS[step // 6 % len(HELPERS)],
        }
        found = FOUND[step // 6 % len(FOUND)]
        travel_s = None if visit["helper"] == "telephone" else 300.0
        report = {"found": found, "trouble": found in TROUBLE, "response_s": 400.0 + step % 90, "travel_s": travel_s}
        writer.say("help_report", "p01", "volunteer-1", at_ms, **visit, **report)
        done = DONE[step // 6 % len(DONE)]
        writer.say("help_result", "p01", "volunteer-1", at_ms, **visit, done=done, on_scene_s=900.0)


def say_zone(writer: Writer, at_ms: int, step: int, wave: float) -> None:
    """What venues, street blocks, a grid station and an enterprise office say at this minute."""
    for number, (site, use) in enumerate({"s01": "shopping", "l02": "leisure", "i03": "incubator"}.items()):
        inside = round(80 * wave * (number + 1)) + step % 5
        doors = {"entries_persons": 4 + step % 3, "exits_persons": 4, "occupancy_persons": inside}
        writer.say("venue_door", site, "door", at_ms, use=use, open=wave > 0, **doors)
        air = {"co2_ppm": 420.0 + inside, "temperature_c": 22.5, "humidity_pct": 48.0, "pm25_ug_m3": 12.0 + step % 9}
        writer.say("venue_air", site, "air", at_ms, **air)
        writer.say("venue_energy", site, "power", at_ms, power_w=9_000 + 40.0 * inside, energy_kwh=500 + step * 1.5)
        used = round(5 * wave)
        resource = ("court", "desk", "room")[number]
        writer.say("venue_units", site, "units", at_ms, resource=resource, units=6, booked_units=used, used_units=used)
        event = ("used", "used", "no_show", "booked", "refused", "cancelled")[(step + number) % 6]
        writer.say("venue_booking", site, "units", at_ms, resource=resource, event=event, hours=1, lead_h=18.5)
    level_db = 50.0 + 4 * wave + (step % 40 == 0) * 15
    writer.say("street_noise", "b01", "noise", at_ms, level_db=level_db)
    waiting = {"waiting_incidents": step % 3, "overdue_incidents": 0, "oldest_s": 60.0 * (step % 30)}
    writer.say(
        "incident_backlog",
        "k01",
        "desk",
        at_ms,
        open_incidents=step % 4,
        unassigned_incidents=step % 2,
        **waiting,
        free_members=2,
    )
    stage = ("opened", "assigned", "arrived", "closed")[step % 4]
    ended = {"outcome": ("resolved", "moved_on", "nothing_found")[step % 3], "late": step % 16 == 3}
    writer.say(
        "incident",
        "k01",
        "desk",
        at_ms,
        number=step // 4 + 1,
        incident=INCIDENT_KINDS[step // 4 % len(INCIDENT_KINDS)],
        stage=stage,
        source=("sensor", "resident")[step // 4 % 2],
        block="b01",
        priority=4,
        since_opened_s=300.0 * (step % 4) + step % 7,
        stage_s=300.0,
        **(ended if stage == "closed" else {}),
    )
    if step % 12 == 0:
        for number in range(1, 4):
            writer.say("bin_fill", "b01", f"bin-{number}", at_ms, fill_pct=float((step * number) % 101))
            writer.say("lift_state", "b01", f"lift-{number}", at_ms, state=int(step % 60 == 0), trips=9)
        writer.say("parking_camera", "b01", "camera", at_ms, vehicles=step % 3)
        register = {"enterprises": 6_000 + step // 24, "jobs": 36_000 + step, "open_cases": step % 5}
        writer.say("enterprises", "e01", "register", at_ms, **register, founded=1, dissolved=0)
        writer.say("incubator_tenants", "i03", "tenants", at_ms, offices=30, startups=24 + step % 4, jobs=80 + step % 9)
        tenancy = ("moved_in", "turned_away", "graduated", "closed")[step // 12 % 4]
        writer.say("startup_tenancy", "i03", "tenants", at_ms, event=tenancy, jobs=4, stayed_d=120.0)
        case = {"licence": ("founding", "change", "closing")[step // 12 % 3], "number": step // 12 + 1}
        writer.say("licence_case", "e01", "register", at_ms, **case, event="filed", took_h=0.0)
        writer.say("licence_case", "e01", "register", at_ms, **case, event="granted", took_h=0.5 + step % 5)


class TownOnBroker:
    """Plays the simulator's part on a broker: tells the clock and who is there, and obeys commands."""

    def __init__(self, host: str, port: int, extra_homes: int = 0) -> None:
        self.clock = Clock(run=RUN, time=NOW_MS, speed=1.0, phase=Phase.LIVE, achieved=1.0, paused=True)
        self.heard: list[tuple[Topic, Command]] = []
        self.refuse = ""
        self.code = ""
        self.needs: dict[str, object] = {}
        self.incidents: list[dict[str, object]] = []
        self.sites: dict[str, str] = {
            **dict.fromkeys(CENTRES, "centre"),
            **dict.fromkeys(HOMES, "home"),
            **{f"x{number:04d}": "home" for number in range(1, extra_homes + 1)},
            "w01": "weather",
            "k01": "grid-station",
        }
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="town")
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(1_000)
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._seq = 0
        self._introduced = threading.Event()
        self._client.reconnect_delay_set(0.2, 0.5)
        self._client.connect(host, port)
        self._client.loop_start()
        assert self._introduced.wait(30)

    def _connected(self, client: paho.Client, *_: object) -> None:
        client.subscribe("haina/v1/command/+/+/+/+", qos=1)
        threading.Thread(target=self._introduce).start()

    def _introduce(self) -> None:
        sent = []
        for number, (site, kind) in enumerate(self.sites.items()):
            area = area_of(site) if site[0] != "x" else f"a{number % 12 + 1:02d}"
            position = zone.place(area, (number * 0.6180339) % 1, (number * 0.7548776) % 1)
            meta = Meta(kind="gateway", run=RUN, origin="sim", position=position, labels={"site_kind": kind})
            sent.append(self._tell(Topic(TopicClass.META, area, site, "gateway", "info"), encode(meta)))
            online = Status(online=number % 37 != 5, boot=1)
            sent.append(self._tell(Topic(TopicClass.STATUS, area, site, "gateway", "connection"), encode(online)))
        self.tell_clock()
        for message in sent:
            message.wait_for_publish(20)
        self._introduced.set()

    def _tell(self, topic: Topic | str, payload: bytes, retain: bool = True) -> paho.MQTTMessageInfo:
        return self._client.publish(str(topic), payload, qos=1, retain=retain)

    def tell_clock(self, **changes: object) -> None:
        """Publish the clock, with these fields changed."""
        self.clock = Clock(**{**{name: getattr(self.clock, name) for name in Clock.__struct_fields__}, **changes})
        self._tell(CLOCK_TOPIC, encode(self.clock))

    def go_offline(self, site: str) -> None:
        """As its will would say it."""
        self._tell(Topic(TopicClass.STATUS, area_of(site), site, "gateway", "connection"), encode(Status(False, 1)))

    def open_help_desk(self, area: str) -> None:
        """A committee with a desk that sends volunteers to the homes of the area."""
        base = f"committee-{area}"
        meta = Meta(kind="help-desk", run=RUN, origin="sim", labels={"crew": "volunteer", "serves": area})
        self._tell(Topic(TopicClass.META, area, base, "desk", "info"), encode(meta))

    def say(self, area: str, site: str, device: str, name: str, **values: object) -> None:
        """A reading, which the console hears beside the collector."""
        self._seq += 1
        topic = Topic(TopicClass.TELEMETRY, area, site, device, name)
        self._tell(topic, telemetry_payload(self.clock.time, 1, self._seq, values), retain=False)

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        topic = Topic.parse(message.topic)
        command = decode(Command, message.payload)
        self.heard.append((topic, command))
        values = {**self.needs, **self._on_the_desk(topic, command)}
        why = {"reason": self.refuse, "code": self.code} if topic.name != "incidents" else {}
        reply = Reply(id=command.id, time=self.clock.time, done=not why.get("reason"), values=values, **why)
        answer = Topic(TopicClass.REPLY, topic.area, topic.site, topic.device, topic.name)
        self._tell(answer, encode(reply), retain=False)
        if not self.refuse and topic.name == "set":
            changes = {name: value for name, value in command.args.items() if name in {"speed", "paused"}}
            self.tell_clock(**changes)

    def _on_the_desk(self, topic: Topic, command: Command) -> dict[str, object]:
        """What the grid station's desk answers; whom it is told to see to is assigned."""
        if topic.name == "assign":
            for incident in self.incidents:
                if incident["number"] == command.args["incident"]:
                    incident["stage"] = "assigned"
        if topic.name != "incidents":
            return {}
        here = self.incidents if topic.site == "k01" else []
        return {"automatic": True, "free_members": 2, "open_incidents": len(here), "incidents": here}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


STATUS = {
    "version": "0.1.0",
    "problems": [],
    "counters": {"received": 1203, "rejected": 3, "duplicates": 20, "journaled": 1180, "in_memory": 0, "missing": 0},
    "rates": {"received_hz": 12.5, "journaled_hz": 12.5},
    "journal": {"bytes": 1_500_000, "limit_bytes": 2_000_000_000, "commit_ms_p50": 1.1, "commit_ms_p99": 6.2},
    "stores": [
        {
            "name": "duckdb",
            "stored": 1180,
            "pending": 0,
            "refused": 0,
            "forgotten": 0,
            "lag_s": 0.0,
            "latency_ms_p50": 21.0,
            "latency_ms_p99": 84.0,
            "down": None,
        }
    ],
    "devices": {
        "known": 9,
        "limit": 200_000,
        "states": {"silent": 1, "offline": 2, "unknown": 0, "online": 6},
        "worst": [
            {
                "site": "home-003",
                "device": "wristband",
                "state": "silent",
                "expected": 43,
                "received": 40,
                "missing": 3,
                "duplicates": 2,
                "last_seen": 1_790_000_000_000,
            }
        ],
    },
}


class StatusServer:
    """Answers `/status` as a collector does."""

    def __init__(self, answer: Callable[[], dict[str, object]] = lambda: STATUS) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answer()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
