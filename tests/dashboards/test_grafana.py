"""The dashboards as files, and on a Grafana server."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from dashboards.command import app
from dashboards.grafana import render
from dashboards.grafana.push import DATA_SOURCE_UID, PushRefused, push
from dashboards.pages import PAGES
from dashboards.panels import Kind
from dashboards.text import LANGUAGES
from haina.query.value import fits_rollups
from haina.store_url import StoreURL

HERE = Path(render.__file__).parent
DASHBOARDS = {(language, name): model for language in LANGUAGES for name, model in render.dashboards(language).items()}


def targets(dashboard):
    return [target for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_the_kept_files_are_what_the_panels_say_now():
    assert render.stale(HERE) == []
    assert CliRunner().invoke(app, ["dashboards", "render", "--check"]).exit_code == 0


def test_check_names_files_that_are_stale_missing_or_too_many(tmp_path):
    runner = CliRunner()
    assert runner.invoke(app, ["dashboards", "render", "--to", str(tmp_path)]).exit_code == 0
    (tmp_path / "en" / "care.json").write_text("{}")
    (tmp_path / "zh" / "town.json").unlink()
    (tmp_path / "zh" / "moon.json").write_text("{}")
    checked = runner.invoke(app, ["dashboards", "render", "--check", "--to", str(tmp_path)])
    assert checked.exit_code == 1
    assert render.stale(tmp_path) == ["en/care.json", "zh/moon.json", "zh/town.json"]
    for name in render.stale(tmp_path):
        assert name in checked.output


def test_every_dashboard_has_a_uid_of_its_own_that_never_changes():
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert DASHBOARDS["zh", "care"]["uid"] == "haina-care-zh"
    assert {dashboard["schemaVersion"] for dashboard in DASHBOARDS.values()} == {41}


@pytest.mark.parametrize("name", list(DASHBOARDS))
def test_panels_of_a_dashboard_stand_beside_each_other_and_not_on_each_other(name):
    taken = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", list(DASHBOARDS))
def test_every_query_heeds_the_chosen_data_source_time_area_and_site(name):
    everywhere = {
        render.statement(panel, line, from_hours=from_hours)
        for page in PAGES.values()
        for panel in page.panels
        for line in panel.lines
        for from_hours in (False, *([True] if fits_rollups(line.query) else []))
        if panel.everywhere
    }
    for target in targets(DASHBOARDS[name]):
        assert target["datasource"] == {"type": "influxdb", "uid": "${ds}"}
        assert "$timeFilter" in target["query"]
        narrows = '"area" =~ /^${area:regex}$/ AND "site" =~ /^${site:regex}$/' in target["query"]
        assert narrows != (target["query"] in everywhere)


def test_sites_are_offered_of_the_chosen_areas_only():
    variables = {variable["name"]: variable for variable in DASHBOARDS["en", "town"]["templating"]["list"]}
    assert list(variables) == ["ds", "area", "site"]
    assert variables["site"]["query"].endswith('WHERE "area" =~ /^${area:regex}$/')


def test_the_history_asks_the_hours_of_whatever_hours_can_tell():
    history = DASHBOARDS["en", "history"]
    titles = [panel["title"] for panel in history["panels"]]
    assert len(set(titles)) == len(titles) > 15
    assert "Occupancy by centre" in titles
    assert history["templating"]["list"][-1]["current"]["value"] == "haina-hourly"
    for panel in history["panels"]:
        assert panel["interval"].endswith("h")
        for target in panel["targets"]:
            assert 'FROM "${hours:raw}".."' in target["query"]
            assert "GROUP BY time($__interval)" in target["query"]


def test_a_rate_is_scaled_by_the_interval_grafana_chose():
    panel = PAGES["care"].panel("steps")
    query = render.statement(panel, panel.lines[0])
    assert query.startswith('SELECT "value" * 3600000 /\n$__interval_ms AS "value" FROM (SELECT sum("steps")')


def test_nothing_is_fetched_from_outside():
    for name, content in render.render_all().items():
        assert "http://" not in content, name
        assert "https://" not in content, name


def test_the_map_of_the_town_is_drawn_from_files_grafana_serves_itself():
    [geomap] = [panel for panel in DASHBOARDS["en", "town"]["panels"] if panel["type"] == "geomap"]
    assert geomap["options"]["basemap"]["config"]["src"].startswith("public/")
    places = json.loads((HERE / "map" / "haina-areas.json").read_text())
    assert [place["key"] for place in places] == [f"a{number:02d}" for number in range(1, 13)]


def test_dashboards_differ_between_languages_in_words_only():
    for name in (*PAGES, "history"):
        one, other = DASHBOARDS["en", name], DASHBOARDS["zh", name]
        assert [target["query"] for target in targets(one)] == [target["query"] for target in targets(other)]
        assert one["title"] != other["title"]


def test_kinds_become_the_panel_types_grafana_has():
    types = {panel["type"] for dashboard in DASHBOARDS.values() for panel in dashboard["panels"]}
    assert types == {name for name, _ in render._KINDS.values()} | {"geomap"}
    assert len(render._KINDS) == len(Kind)


# Pushing


class Grafana:
    """A server that answers the calls of a push as Grafana does, and keeps them."""

    def __init__(self, refuse: tuple[int, str] | None = None) -> None:
        calls = self.calls = []
        known: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                path = self.path.split("?")[0]
                calls.append((self.command, path, body, self.headers.get("Authorization")))
                status, told = 200, {"uid": "x", "id": 1, "status": "success"}
                if refuse is not None:
                    status, told = refuse[0], {"message": refuse[1]}
                elif self.command == "GET" and path not in known:
                    status, told = 404, {"message": "not found"}
                elif self.command == "POST" and path == "/api/folders":
                    known.add(f"/api/folders/{body['uid']}")
                elif self.command == "POST" and path == "/api/datasources":
                    known.add(f"/api/datasources/uid/{body['uid']}")
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def do_PUT(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def sent(self, method, path):
        return [body for called, where, body, _ in self.calls if (called, where) == (method, path)]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_push_makes_the_folder_and_puts_every_dashboard_into_it():
    with Grafana() as grafana:
        push(grafana.url, "glsa_token", LANGUAGES)
        push(grafana.url, "glsa_token", LANGUAGES)
    assert grafana.sent("POST", "/api/folders") == [{"title": "Haina", "uid": "haina"}]
    pushed = grafana.sent("POST", "/api/dashboards/db")
    assert [body["dashboard"]["uid"] for body in pushed] == 2 * [d["uid"] for d in DASHBOARDS.values()]
    assert all(body["overwrite"] and body["folderUid"] == "haina" for body in pushed)
    assert {authorization for *_, authorization in grafana.calls} == {"Bearer glsa_token"}


def test_a_data_source_is_pushed_when_asked_for_and_replaced_the_second_time():
    influx = StoreURL.parse("influxdb+http://127.0.0.1:8086/haina?org=haina")
    with Grafana() as grafana:
        push(grafana.url, None, ("en",), influx, "secret")
        push(grafana.url, None, ("en",), influx, "secret")
    [made] = grafana.sent("POST", "/api/datasources")
    [replaced] = grafana.sent("PUT", f"/api/datasources/uid/{DATA_SOURCE_UID}")
    assert made == replaced
    assert made["url"] == "http://127.0.0.1:8086"
    assert made["jsonData"]["dbName"] == "haina"
    assert made["secureJsonData"] == {"httpHeaderValue1": "Token secret"}


def test_an_account_with_a_password_enters_influxdb_by_basic_auth():
    influx = StoreURL.parse("influxdb+http://127.0.0.1:8086/haina?org=haina")
    with Grafana() as grafana:
        push(grafana.url, None, ("en",), influx, "reader:pass:word")
    [made] = grafana.sent("POST", "/api/datasources")
    assert (made["basicAuth"], made["basicAuthUser"]) == (True, "reader")
    assert made["secureJsonData"] == {"basicAuthPassword": "pass:word"}


def test_grafana_finds_no_regular_expression_where_a_rate_divides():
    # Its InfluxDB plugin takes what stands between two slashes of a line for one, and escapes the variable in it.
    asked = [target["query"] for dashboard in DASHBOARDS.values() for target in targets(dashboard)]
    rates = [query for query in asked if "$__interval_ms" in query]
    assert rates
    for query in rates:
        [line] = [line for line in query.splitlines() if "$__interval_ms" in line]
        assert "/" not in line.partition("$__interval_ms")[0]


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ((400, "Cannot save provisioned dashboard"), "a dashboard provisioned from files cannot be replaced"),
        ((401, "Unauthorized"), "is HAINA_GRAFANA_TOKEN set and valid"),
        ((403, "Permissions needed: datasources:write"), "--influx needs Admin"),
        ((500, "oops"), "cannot be used"),
    ],
)
def test_a_refusal_is_one_sentence(refusal, sentence):
    with Grafana(refusal) as grafana, pytest.raises(PushRefused, match=sentence):
        push(grafana.url, "glsa_token", ("en",))


def test_a_server_that_is_not_there_is_one_sentence_and_exit_code_1():
    ended = CliRunner().invoke(app, ["dashboards", "push", "--grafana", "http://127.0.0.1:9"])
    assert ended.exit_code == 1
    assert "no Grafana answers at http://127.0.0.1:9 (connection refused)" in ended.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--grafana", "127.0.0.1:3000"], "takes a URL"),
        (["--grafana", "http://admin:admin@127.0.0.1:3000"], "no user or password"),
        (["--grafana", "http://127.0.0.1:9", "--language", "fr"], "--language is en, zh or both"),
        (["--grafana", "http://127.0.0.1:9", "--influx", "http://x"], "--influx: a store URL is"),
        (["--grafana", "http://127.0.0.1:9", "--influx", "duckdb+http://127.0.0.1:1"], "Grafana reads InfluxDB only"),
    ],
)
def test_what_cannot_be_pushed_is_refused_with_a_sentence(arguments, sentence):
    ended = CliRunner().invoke(app, ["dashboards", "push", *arguments])
    assert ended.exit_code == 2, "it could not begin"
    assert sentence in ended.output


@pytest.mark.skipif("HAINA_TEST_GRAFANA" not in os.environ, reason="HAINA_TEST_GRAFANA names no Grafana")
def test_a_real_grafana_takes_every_dashboard_and_gives_it_back():
    url, token = os.environ["HAINA_TEST_GRAFANA"], os.environ.get("HAINA_GRAFANA_TOKEN")
    push(url, token, LANGUAGES)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for dashboard in DASHBOARDS.values():
        answer = httpx.get(f"{url}/api/dashboards/uid/{dashboard['uid']}", headers=headers)
        assert answer.status_code == 200
        assert len(answer.json()["dashboard"]["panels"]) == len(dashboard["panels"])
