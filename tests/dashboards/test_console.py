"""The console, as a visitor has it: a real process, a real store and broker, and a real browser."""

import re
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboards.pages import PAGES
from dashboards.panels import Kind
from haina.contract import MEASUREMENTS
from tests.brokers import mosquitto_broker
from tests.dashboards import town as made_up
from tests.dashboards.running_console import SCREENSHOTS, chromium, running_console
from tests.haina_store import haina_store

EXTRA_HOMES = 2_040 - len(made_up.CENTRES) - len(made_up.HOMES) - 2
WAIT_MS = 40_000  # long, for the machine may be busy with everything else
expect.set_options(timeout=WAIT_MS)


class Rig:
    """All parts, running."""

    def __init__(self, **parts):
        self.__dict__.update(parts)

    def visit(self, path="/", *, width=1440, height=900, cookies=(), until_drawn=True) -> Page:
        """A page of a new visitor, who notes errors and where requests go."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
        self.contexts.append(context)
        context.add_cookies([{"name": name, "value": value, "url": self.console.url} for name, value in cookies])
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.errors, page.asked = [], []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(self.console.url + path)
        if until_drawn:
            expect(page.locator("[data-panel]").first).to_be_visible()
            page.wait_for_function("() => [...document.querySelectorAll('[data-panel]')].every((p) => p.dataset.drawn)")
        return page


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    with haina_store(folder / "store") as store, mosquitto_broker() as broker, chromium() as browser:
        writer = made_up.Writer(store.url)
        made_up.seed(writer)
        town = made_up.TownOnBroker(broker.host, broker.port, EXTRA_HOMES)
        collector = made_up.StatusServer()
        with running_console(
            folder, "--store", store.url, "--broker", broker.url, "--collector", collector.url
        ) as console:
            rig = Rig(store=store, broker=broker, browser=browser, writer=writer, town=town, console=console)
            rig.contexts = []
            yield rig
        town.close()
        collector.close()
        writer.close()


@pytest.fixture(autouse=True)
def _close_pages(rig):
    rig.town.refuse, rig.town.code, rig.town.needs, rig.town.incidents = "", "", {}, []
    rig.town.heard.clear()
    yield
    while rig.contexts:
        rig.contexts.pop().close()


def path_of(page_id):
    return "/" if page_id == "town" else f"/{page_id}"


def figure(page, panel):
    return page.locator(f'[data-panel="{panel}"] .amount')


def held(page):
    """What the page knows, as the server tells windows: panel → series key → buckets."""
    return page.evaluate(
        """async () => {
            const { live } = await import("/assets/live.js");
            const panels = {};
            for (const [id, held] of live.panels) {
                panels[id] = {};
                for (const each of held.series.values())
                    if (each.t.length) panels[id][JSON.stringify(each.key)] = [each.t, each.v];
            }
            return panels;
        }"""
    )


# What a visitor sees


@pytest.mark.parametrize("page_id", list(PAGES))
@pytest.mark.parametrize(
    ("look", "width", "cookies"),
    [
        ("wide", 1440, ()),
        ("wide-dark-zh", 1440, (("haina_theme", "dark"), ("haina_language", "zh"))),
        ("narrow", 390, ()),
    ],
)
def test_every_page_draws_every_panel_without_an_error_and_without_asking_anybody_else(
    rig, page_id, look, width, cookies
):
    page = rig.visit(path_of(page_id), width=width, height=900 if width > 500 else 844, cookies=cookies)
    if page_id == "town":
        expect(page.locator("[data-sites='2040']")).to_be_attached()
    page.wait_for_timeout(600)  # lets fonts and the map settle before the picture is taken
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{page_id}-{look}.png", full_page=True)
    drawn = {
        panel.get_attribute("data-panel"): panel.get_attribute("data-drawn")
        for panel in page.locator("[data-panel]").all()
    }
    assert drawn == {panel.id: "yes" for panel in PAGES[page_id].panels}
    assert page.errors == []
    elsewhere = [url for url in page.asked if urlsplit(url).scheme != "data" and not url.startswith(rig.console.url)]
    assert elsewhere == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"


def test_every_chart_on_a_canvas_says_in_words_what_it_shows(rig):
    page = rig.visit("/centres")
    canvases = page.locator(".canvas").all()
    kinds = {Kind.TIME_SERIES, Kind.STATE_TIMELINE, Kind.STATUS_HISTORY, Kind.HEATMAP, Kind.PIE, Kind.GAUGE}
    assert len(canvases) == sum(panel.kind in kinds for panel in PAGES["centres"].panels)
    for canvas in canvases:
        assert canvas.get_attribute("role") == "img"
        assert re.search(r"\w+\. .+: ", canvas.get_attribute("aria-label"))


def test_on_a_phone_the_map_has_its_legend_and_the_menu_shows_where_one_is(rig):
    page = rig.visit("/", width=390, height=844)
    legend = page.locator(".legend.kinds")
    expect(legend).to_contain_text("Service centre")
    ground, shown = page.locator(".ground").bounding_box(), legend.bounding_box()
    assert shown["y"] >= ground["y"] + ground["height"], "below the map, not on it"
    assert shown["x"] >= 0
    assert shown["x"] + shown["width"] <= 390
    page = rig.visit("/collector", width=390, height=844)
    expect(page.get_by_role("link", name="Collector")).to_be_in_viewport(ratio=1)


def test_the_menu_shows_every_page_on_a_laptop(rig):
    page = rig.visit("/", width=1280)
    for link in page.locator("nav a").all():
        expect(link).to_be_in_viewport(ratio=1)


def test_the_page_of_help_shows_helpers_and_the_one_of_governance_street_crews(rig):
    for page_id, panel, member in (
        ("help", "crew_states", "p01 · Volunteer 1"),
        ("governance", "street_crews", "k01 · Crew member 1"),
    ):
        page = rig.visit(f"/{page_id}")
        label = page.locator(f"[data-panel={panel}] .canvas").get_attribute("aria-label")
        assert re.findall(r"[a-z]\d+ · [^:]+", label) == [member]


def test_what_a_table_lists_is_said_in_the_visitors_language(rig):
    page = rig.visit("/help", cookies=(("haina_language", "zh"),))
    found = page.locator("[data-panel=last_reports] td.value").all_inner_texts()
    assert found
    assert all(re.fullmatch(r"[一-鿿]+", each) for each in found), found


def test_the_page_can_be_used_by_keyboard_alone(rig):
    page = rig.visit("/care")
    names = []
    for _ in range(22):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("const e = document.activeElement; (e.getAttribute('aria-label') || e.textContent).trim()")
        )
    wanted = {"To the charts", "Service centres", "中文", "Dark theme", "A minute in a second", "Area", "Site", "7 d"}
    assert wanted <= set(names)
    page.get_by_role("button", name="6 h", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="6 h", exact=True)).to_have_attribute("aria-pressed", "true")


def test_figures_say_what_the_store_holds(rig):
    page = rig.visit("/care")
    expect(figure(page, "homes_reporting")).to_have_text(str(len(made_up.HOMES)))
    expect(figure(page, "falls_in_range")).to_have_text("3")
    expect(figure(page, "sos_in_range")).to_have_text("1")
    expect(figure(page, "smoke_in_range")).to_have_text("0")  # a count of nothing is 0, not unknown


def test_a_delta_arrives_in_the_open_page_without_a_reload_and_leaves_it_as_a_new_visitor_sees_it(rig):
    page = rig.visit("/centres")
    page.evaluate("window.stayed = true")
    before = int(figure(page, "people_in_centres").inner_text())
    at_ms = rig.town.clock.time + made_up.MINUTE_MS
    values = {"entries_persons": 40, "exits_persons": 0, "occupancy_persons": 41}
    rig.writer.say("centre_door", "c01", "gate", at_ms, **values)
    stuffy = {"co2_ppm": 5_000.0, "temperature_c": 20.0, "humidity_pct": 50.0}
    rig.writer.say("centre_air", "c03", "air", at_ms - 3_600_000, **stuffy)
    rig.writer.write()
    rig.town.tell_clock(time=at_ms + 1)
    expect(figure(page, "people_in_centres")).not_to_have_text(str(before))
    assert int(figure(page, "people_in_centres").inner_text()) >= 41
    # The late reading of an hour ago is found when the whole range is looked through.
    page.wait_for_function(
        """async () => {
            const { live } = await import("/assets/live.js");
            const found = [...live.panels.get("co2").series.values()].find((each) => each.key[2] === "c03");
            return found && Math.max(...found.v) > 900;
        }""",
        timeout=90_000,
    )
    assert page.evaluate("window.stayed")
    answer = httpx.get(f"{rig.console.url}/api/window?page=centres&range=24h", trust_env=False).json()
    fresh = {
        name: {str(series["key"]).replace("'", '"').replace(", ", ","): [series["t"], series["v"]]
               for series in panel["series"] if series["t"]}
        for name, panel in answer["panels"].items()
    }  # fmt: skip
    assert held(page) == fresh


def test_language_and_theme_are_switched_on_the_page_and_remembered(rig):
    page = rig.visit("/")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("link", name="服务中心")).to_be_visible()
    page.get_by_role("button", name="深色主题").click()
    page.goto(rig.console.url + "/care")
    expect(page.locator("[data-panel=motion_by_room] h2")).to_contain_text("各房间活动")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("link", name="Senior care")).to_be_visible()


def test_choosing_an_area_shows_only_it_and_stays_with_the_visitor(rig):
    page = rig.visit("/care")
    page.get_by_label("Area", exact=True).select_option("a01")
    there = [home for home in made_up.HOMES if made_up.area_of(home) == "a01"]
    expect(figure(page, "homes_reporting")).to_have_text(str(len(there)))
    assert page.url.endswith("?area=a01")
    page.get_by_role("link", name="Service centres").click()
    expect(page.get_by_label("Area", exact=True)).to_have_value("a01")
    page.get_by_role("link", name="Town", exact=True).click()
    expect(figure(page, "outside_temperature")).to_be_visible()  # the weather is the whole town's
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_label("Area", exact=True)).to_have_value("")


# The town's clock, and the map


def test_the_header_tells_the_towns_time_and_its_buttons_ask_the_simulator(rig):
    page = rig.visit("/")
    rig.town.tell_clock(speed=1.0, paused=True)
    expect(page.locator(".time")).to_have_text(re.compile(r"^14:\d\d:\d\d$"))
    expect(page.locator(".phase")).to_have_text("Paused")
    page.get_by_role("button", name="A minute in a second").click()
    expect(page.locator(".clock .answer")).to_have_text("Done")
    topic, command = rig.town.heard[-1]
    assert str(topic) == "haina/v1/command/town/simulator/clock/set"
    assert command.args == {"speed": 60.0, "paused": False}
    assert command.expires > rig.town.clock.time
    expect(page.locator(".pace")).to_contain_text("60× asked")
    page.get_by_role("button", name="Pause the town").click()
    expect(page.locator(".phase")).to_have_text("Paused")
    assert rig.town.heard[-1][1].args == {"paused": True}


def test_a_refused_command_is_shown_with_its_reason(rig):
    page = rig.visit("/")
    rig.town.refuse = "the town is at the present already"
    page.get_by_role("button", name="As fast as the line can take").click()
    expect(page.locator(".clock .answer")).to_have_text("Not done: the town is at the present already")


def test_a_reason_with_a_code_is_said_in_the_visitors_language_and_one_without_as_it_came(rig):
    page = rig.visit("/governance", cookies=(("haina_language", "zh"),))
    waits = {"number": 7, "incident": "noise", "stage": "opened", "opened": 0, "overdue": False, "block": "b01"}
    rig.town.incidents = [{**waits, "priority": 1}]
    told = page.locator(".desks-panel [role=status]")
    answers = {
        "incident_attended": "未执行：事件 7 已有人处置",
        "of_a_later_version": "未执行：somebody sees to it",
        "": "未执行：somebody sees to it",
    }
    for code, answer in answers.items():
        rig.town.refuse, rig.town.code, rig.town.needs = "somebody sees to it", code, {"incident": 7}
        page.locator("[data-act='k01 prioritise 7']").click()
        expect(told).to_have_text(answer)


def test_devices_go_by_names_and_their_ids_are_a_pointer_away(rig):
    page = rig.visit("/care", cookies=(("haina_language", "zh"),))
    expect(page.locator("[data-panel=device_batteries] .name").first).to_have_text(re.compile(r"^h\d+ · \D+$"))
    titles = page.locator("[data-panel=device_batteries] .name").first.get_attribute("title")
    assert re.search(r" – h\d+ / [a-z-]+$", titles)
    page = rig.visit("/care")
    expect(page.locator("[data-panel=motion_by_room] .canvas")).to_have_attribute(
        "aria-label", re.compile("Bedroom motion: .*Kitchen motion: ")
    )


@pytest.mark.parametrize(("language", "minutes", "seconds"), [("en", "min", "s"), ("zh", "分", "秒")])
def test_a_heading_names_the_unit_of_its_axis(rig, language, minutes, seconds):
    found = set()
    for page_id in ("centres", "help", "governance"):
        page = rig.visit(path_of(page_id), cookies=(("haina_language", language),))
        of_waits = [p for p in PAGES[page_id].panels if p.kind is Kind.TIME_SERIES and p.unit == "seconds"]
        for panel in of_waits:
            most = max(max(values) for _, values in held(page)[panel.id].values())
            heading = page.locator(f"[data-panel={panel.id}] h2 .unit").inner_text()
            mark = page.evaluate(
                """async (id) => {
                    const { echarts } = await import("nicegui-echart");
                    const chart = echarts.getInstanceByDom(document.querySelector(`[data-panel=${id}] .canvas`));
                    return chart.getOption().yAxis[0].axisLabel.formatter(1800);
                }""",
                panel.id,
            )
            assert (heading, mark) == ((minutes, "30") if most >= 300 else (seconds, "1,800")), panel.id
            found.add(heading)
    assert found == {minutes, seconds}


def test_whoever_would_run_ahead_of_the_present_is_told_and_asked_once_more(rig):
    page = rig.visit("/", cookies=(("haina_language", "zh"),))
    rig.town.refuse, rig.town.needs = "the town is at the present; send future: true", {"needs": "future"}
    answer = page.locator(".clock .answer")
    page.locator("[data-act='60']").click()
    expect(answer).to_contain_text("小镇已到达现在")
    rig.town.refuse, rig.town.needs = "", {}
    answer.get_by_role("button", name="跑到前面").click()
    expect(answer).to_have_text("已完成")
    assert rig.town.heard[-1][1].args == {"speed": 60.0, "paused": False, "future": True}
    rig.town.tell_clock(speed=1.0, paused=True)


def test_history_shows_how_far_it_has_come(rig):
    page = rig.visit("/")
    now_ms = rig.town.clock.time
    rig.town.tell_clock(phase="history", paused=False, start=now_ms - 300_000, live_from=now_ms + 100_000)
    expect(page.locator(".phase")).to_have_text("Filling in history")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "75")
    rig.town.tell_clock(phase="live", paused=True, start=None, live_from=None)
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_a_site_chosen_by_name_opens_on_the_map_and_its_faulty_kiosk_can_be_restarted_or_repaired(rig):
    site, kiosk = made_up.FAULTY
    page = rig.visit("/")
    page.get_by_label("Site", exact=True).fill(site)
    page.get_by_label("Site", exact=True).press("Enter")
    popup = page.locator(".leaflet-popup")
    expect(popup.get_by_role("heading")).to_contain_text(site)
    expect(popup).to_contain_text("Inside")
    expect(popup).to_contain_text("with a fault")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "town-popup.png")
    popup.get_by_role("button", name=f"Restart Kiosk {kiosk[-1]}").click()
    expect(popup).to_contain_text("Restarted")
    topic, _ = rig.town.heard[-1]
    assert str(topic) == f"haina/v1/command/{made_up.area_of(site)}/{site}/{kiosk}/restart"
    popup.get_by_role("button", name=f"Send a technician to Kiosk {kiosk[-1]}").click()
    expect(popup).to_contain_text("A technician was called")
    topic, _ = rig.town.heard[-1]
    assert topic.name == "dispatch"
    popup.get_by_role("link", name="Open its charts").click()
    expect(page).to_have_url(re.compile(r"/centres\?area=a02&site=c02$"))


def test_whoever_is_sent_to_a_home_moves_on_the_map_and_what_they_find_is_told_there(rig):
    home = made_up.HOMES[0]
    area = made_up.area_of(home)
    rig.town.open_help_desk(area)
    page = rig.visit("/")
    page.get_by_label("Site", exact=True).fill(home)
    page.get_by_label("Site", exact=True).press("Enter")
    popup = page.locator(".leaflet-popup")
    popup.get_by_role("button", name="Send a volunteer").click()
    expect(popup).to_contain_text("On the way")
    topic, wish = rig.town.heard[-1]
    assert str(topic) == f"haina/v1/command/{area}/committee-{area}/desk/send"
    assert wish.args["home"] == home
    popup.get_by_role("button", name="Send a nurse").click()
    expect(popup).to_contain_text(f"no desk of this town sends such help to {home}")
    at = {"longitude_deg": 121.4, "latitude_deg": 31.25, "travel_s": 60.0, "destination": home, "errand": "check"}
    rig.town.say(area, f"committee-{area}", "volunteer-1", "crew_member", state=1, **at)
    expect(page.locator("[data-members='1'] .member.travelling")).to_have_attribute(
        "title", f"Volunteer 1 · Under way · {home} · check"
    )
    assert page.evaluate(
        """() => {
            const height = (element) => Number(getComputedStyle(element).zIndex);
            const member = height(document.querySelector(".member"));
            return [...document.querySelectorAll(".label")].every((label) => height(label) < member);
        }"""
    ), "a name on the map hides who passes under it"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "town-help.png")
    found = {
        "errand": "1",
        "home": home,
        "helper": "volunteer",
        "found": "fallen",
        "trouble": True,
        "response_s": 640.0,
    }
    rig.town.say(area, f"committee-{area}", "volunteer-1", "help_report", **found)
    expect(popup).to_contain_text("Lying on the floor")
    rig.town.say(area, f"committee-{area}", "volunteer-1", "crew_member", state=0, **at)
    expect(page.locator("[data-members='0']")).to_be_attached()
    assert page.errors == []


def test_who_is_under_way_says_what_for_in_the_visitors_language(rig):
    page = rig.visit("/", cookies=(("haina_language", "zh"),))
    at = {"longitude_deg": 121.4, "latitude_deg": 31.25, "travel_s": 60.0, "destination": "b01"}
    errands = {
        "asked by the console": "控制台指派",
        "repair kiosk": "维修终端",
        "lift_fault 12": "电梯故障 12",
        "no movement since 8": "no movement since 8",
    }
    for errand, shown in errands.items():
        rig.town.say("a01", "k01", "crew-1", "crew_member", state=1, errand=errand, **at)
        expect(page.locator(".member.travelling")).to_have_attribute("title", f"处置员 1 · 途中 · b01 · {shown}")
    rig.town.say("a01", "k01", "crew-1", "crew_member", state=0, **at)
    expect(page.locator("[data-members='0']")).to_be_attached()


def test_what_lies_on_a_grid_stations_desk_is_listed_and_can_be_assigned(rig):
    now_ms, listed = rig.town.clock.time, {"block": "b01", "priority": 1}
    stuck = {"incident": "lift_fault", "stage": "opened", "opened": now_ms - 900_000, "overdue": True}
    loud = {"incident": "noise", "stage": "arrived", "opened": now_ms - 60_000, "overdue": False}
    rig.town.incidents = [{"number": 7, **stuck, **listed}, {"number": 5, **loud, **listed}]
    page = rig.visit("/governance")
    desks = page.get_by_role("region", name="On the desks of the grid stations")
    expect(desks.get_by_role("row", name=re.compile("Lift fault 7.*Not assigned.*15 min ago, overdue"))).to_be_visible()
    expect(desks.get_by_role("row", name=re.compile("Noise 5.*Crew there"))).to_be_visible()
    expect(desks.get_by_role("button", name="Noise 5: Assign")).to_have_count(0)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "governance-desks.png")
    desks.get_by_role("button", name="Lift fault 7: Assign").click()
    expect(desks.get_by_role("row", name=re.compile("Lift fault 7.*Assigned"))).to_be_visible()
    expect(desks.get_by_role("status")).to_have_text("Assigned: a crew sets out as soon as one is free")
    rig.town.refuse = "somebody sees to incident 7 already"
    desks.get_by_role("button", name="Lift fault 7: To the front").click()
    expect(desks.get_by_role("status")).to_have_text("Not done: somebody sees to incident 7 already")
    rig.town.refuse = ""
    desks.get_by_role("button", name="k01: Assign by hand").click()
    expect(desks.get_by_role("status")).to_have_text("The station does as told")
    told = [(str(topic), command.args) for topic, command in rig.town.heard if topic.name != "incidents"]
    desk = "haina/v1/command/a01/k01/desk"
    assert told == [
        (f"{desk}/assign", {"incident": 7}),
        (f"{desk}/prioritise", {"incident": 7, "priority": 0}),
        (f"{desk}/automatic", {"on": False}),
    ]
    assert page.errors == []


def test_the_page_of_help_says_how_to_begin_until_there_is_something_to_show(rig):
    page = rig.visit("/help?area=a12")
    expect(page.get_by_role("note")).to_contain_text("Choose a home on the map")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "help-empty.png")
    page.get_by_label("Area", exact=True).select_option("")
    expect(page.get_by_role("note")).to_have_count(0)


def test_a_dot_on_the_map_can_be_clicked(rig):
    page = rig.visit("/")
    expect(page.locator("[data-sites='2040']")).to_be_attached()
    box = page.locator(".ground").bounding_box()
    for step in range(60):  # somewhere in the middle of 2,040 sites there is one under the pointer
        x, y = box["x"] + box["width"] * (0.4 + 0.003 * step), box["y"] + box["height"] * 0.45
        page.mouse.click(x, y)
        if page.locator(".leaflet-popup h3").count():
            break
    expect(page.locator(".leaflet-popup h3")).to_be_visible()


def test_a_gateway_that_vanishes_changes_its_dot_without_a_reload(rig):
    page = rig.visit("/")
    expect(page.locator("[data-sites='2040']")).to_be_attached()
    rig.town.go_offline("c05")
    page.wait_for_function(
        """async () => (await import("/assets/live.js")).live.sites.get("c05").state === "offline" """
    )


# When a part is away


def test_a_missing_store_is_said_in_a_sentence_and_its_return_is_noticed(rig):
    page = rig.visit("/centres")
    before = figure(page, "sessions_in_range").inner_text()
    rig.store.kill()
    rig.town.tell_clock(time=rig.town.clock.time + 1_000)
    notice = page.locator(".notices")
    expect(notice).to_contain_text("The store is unavailable")
    expect(notice).to_contain_text("Charts show what was last read")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "centres-store-away.png")
    expect(figure(page, "sessions_in_range")).to_have_text(before)
    late = rig.visit("/care", until_drawn=False)
    expect(late.locator(".notices")).to_contain_text("The store is unavailable")
    never_read = rig.visit("/care?range=7d", until_drawn=False)
    expect(never_read.locator(".notices")).to_contain_text("The store is unavailable")
    unknown = never_read.locator("[data-panel=sos_in_range]")
    expect(unknown.locator(".empty")).to_have_text("Reading …")  # and not 0
    rig.store.restart()
    expect(unknown.locator(".amount")).to_have_text("1")
    expect(notice).not_to_contain_text("The store is unavailable")
    expect(figure(late, "homes_reporting")).to_be_visible()
    late_figure = figure(late, "falls_in_range")
    expect(late_figure).to_have_text("3")


def test_a_missing_broker_is_said_and_the_charts_go_on(rig):
    page = rig.visit("/care")
    rig.broker.terminate()
    expect(page.locator(".notices")).to_contain_text("The broker is unavailable")
    expect(page.locator(".health [data-health=unavailable]")).to_have_text(re.compile("Broker"))
    expect(page.locator(".phase")).to_have_text("stale")
    page.get_by_role("button", name="6 h", exact=True).click()
    expect(figure(page, "homes_reporting")).to_have_text(str(len(made_up.HOMES)))
    page.get_by_role("button", name="As fast as life").click()
    expect(page.locator(".clock .answer")).to_contain_text("the broker is unavailable")
    rig.broker.restart()
    expect(page.locator(".notices")).not_to_contain_text("The broker is unavailable")


def test_the_collectors_page_shows_its_account_and_how_old_readings_are(rig):
    page = rig.visit("/collector")
    account = page.locator(".account .equation")
    expect(account).to_contain_text("1,203")
    sums = [int(words.replace(",", "")) for words in account.locator("b").all_inner_texts()]
    assert sums[0] == sum(sums[1:])
    expect(page.locator(".ages li")).to_have_count(len(MEASUREMENTS))
    expect(page.locator(".ages")).to_contain_text("Wearable fall")
    devices = page.locator(".devices")
    expect(devices.locator(".sum")).to_have_text(["6Online", "1Silent", "2Gateway offline", "0Unknown"])
    expect(devices.locator("tbody tr")).to_contain_text(["Wristband home-003/wristbandSilent"])
