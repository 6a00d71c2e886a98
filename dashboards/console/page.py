"""The pages: NiceGUI lays out a header, a map, panels; each is a *part* that the browser fills (`browser/part.js`).

What a part needs -- words in the visitor's language, definitions of panels, names of areas -- goes into the page once.
Everything that changes comes later, by window and stream. Language and theme are the visitor's choice, kept in two
cookies; without them the browser's own settings count.
"""

import json
from typing import Any

import nicegui.elements.echart
import nicegui.elements.leaflet
from fastapi import FastAPI
from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from dashboards.console.feed import RANGES
from dashboards.pages import PAGES
from dashboards.panels import Kind, Page, Panel, SiteKind
from dashboards.text import LANGUAGES, Language, catalogue
from haina import __version__, zone
from haina.contract import MEASUREMENTS

LANGUAGE_COOKIE = "haina_language"
THEME_COOKIE = "haina_theme"
THEMES = ("light", "dark")
# NiceGUI asks a browser for a sign of life within this time, and makes a page that is back later load anew. A page
# lives on its own stream, so a browser that is busy drawing on a busy machine may take its time.
RECONNECT_TIMEOUT_S = 60.0

_LEAFLET_STYLE = nicegui.elements.leaflet.__path__[0] + "/dist/leaflet"
_ECHARTS = nicegui.elements.echart.__name__  # imported so that its ECharts is in the page's import map

_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0b7a6f"/>'
    '<path d="M5 19c4 0 4-4 8-4s4 4 8 4 4-4 6-4M5 25c4 0 4-4 8-4s4 4 8 4 4-4 6-4" fill="none" stroke="#fff" '
    'stroke-width="2.4" stroke-linecap="round"/><circle cx="21" cy="9" r="3" fill="#fff"/></svg>'
)


_OWN_PARTS = {"collector": "line", "governance": "incidents", "help": "hint"}
"""What a page has between its figures and its charts."""


class Part(Element, component="browser/part.js"):
    """A piece of a page that fills itself in the browser."""

    def __init__(self, part: str, panel: str = "") -> None:
        super().__init__()
        self._props["part"] = part
        self._props["panel"] = panel


def lay_out(app: FastAPI) -> None:
    """Add the pages to the application."""
    app.mount("/leaflet", StaticFiles(directory=_LEAFLET_STYLE), name="leaflet")
    for page in PAGES.values():
        ui.page(_path(page.id))(_builder(page))
    ui.run_with(
        app,
        title="Haina",
        favicon=_FAVICON,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        gzip_middleware_factory=None,
    )


def _path(page_id: str) -> str:
    return "/" if page_id == "town" else f"/{page_id}"


def _builder(page: Page) -> Any:
    def build(request: Request) -> None:
        language = preferred_language(request)
        ui.add_head_html(_head(page, language, request.cookies.get(THEME_COOKIE, "")))
        words = catalogue(language)
        ui.page_title(f"{words[f'page.{page.id}']} · {words['console.town_name']}")
        with ui.element("div").classes(f"haina page-{page.id}"):
            ui.element("a").props('href="#charts" class="skip"').add_slot("default", words["console.skip"])
            Part("header")
            with ui.element("main").props('id="charts" tabindex="-1"'):
                Part("notices")
                _content(page)

    return build


def _content(page: Page) -> None:
    figures = [panel for panel in page.panels if panel.kind is Kind.STAT and panel.width == 2]
    charts = [panel for panel in page.panels if panel not in figures]
    if page.id == "town":
        with ui.element("div").classes("glance"):
            Part("map")
            _row("figures", figures)
    else:
        _row("figures", figures)
    if page.id in _OWN_PARTS:
        Part(_OWN_PARTS[page.id])
    _row("charts", charts)


def _row(name: str, panels: list[Panel]) -> None:
    if panels:
        with ui.element("div").classes(name):
            for panel in panels:
                Part("panel", panel.id).classes(f"w{panel.width}").style(f"--rows: {panel.height}")


def preferred_language(request: Request) -> Language:
    """What the visitor chose, or else what their browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    for language in LANGUAGES:
        if chosen == language:
            return language
    first = request.headers.get("accept-language", "").partition(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"


def _head(page: Page, language: Language, theme: str) -> str:
    told = {
        "language": language,
        "languages": LANGUAGES,
        "page": page.id,
        "pages": [{"id": each, "path": _path(each)} for each in PAGES],
        "ranges": list(RANGES),
        "range_s": {name: seconds for name, (seconds, _) in RANGES.items()},
        "areas": [{"id": area.id, "en": area.name_en, "zh": area.name_zh} for area in zone.areas()],
        "measurements": list(MEASUREMENTS),
        "quiet_s": {name: seconds for about in PAGES.values() for name, seconds in about.quiet_s.items()},
        "kinds": {kind.id: _describe_kind(kind, about, language) for about in PAGES.values() for kind in about.sites},
        "panels": {panel.id: describe(panel, language) for panel in page.panels},
        "text": catalogue(language),
        "version": __version__,
    }
    data = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    chosen = theme if theme in THEMES else ""
    return (
        f"<script>window.HAINA = {data};"
        f'document.documentElement.lang = "{"zh-CN" if language == "zh" else "en"}";'
        f'document.documentElement.dataset.theme = "{chosen}" || '
        '(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");</script>'
        f'<link rel="stylesheet" href="/leaflet/leaflet.css"><link rel="stylesheet" href="/assets/style.css">'
    )


def _describe_kind(kind: SiteKind, about: Page, language: Language) -> dict[str, Any]:
    """A kind of site as the map gets it; one on the town's page has no page of its own."""
    words = catalogue(language)
    return {
        "name": words[f"console.kind_{kind.id}"],
        "colour": kind.colour,
        "radius": kind.radius,
        "headlines": {each.name: words[f"console.headline.{each.name}"] for each in kind.headlines},
        "path": "" if about.id == "town" else _path(about.id),
    }


def describe(panel: Panel, language: Language) -> dict[str, Any]:
    """A panel as browsers get it: what to draw, with the words in place."""
    words = catalogue(language)
    return {
        "id": panel.id,
        "kind": panel.kind,
        "title": words[f"panel.{panel.id}"],
        "about": words[f"about.{panel.id}"],
        "unit": panel.unit,
        "decimals": panel.decimals,
        "span": panel.span,
        "low": panel.low,
        "high": panel.high,
        "stacked": panel.stacked,
        "bars": panel.bars,
        "counts": panel.counts,
        "lines": [
            {"key": line.name, "name": words[f"line.{line.name}"] if line.name else "", "group": line.query.group}
            for line in panel.lines
        ],
        "thresholds": [{"value": step.value, "level": step.level} for step in panel.thresholds],
        "states": [
            {"value": state.value, "name": words[f"state.{state.name}"], "level": state.level} for state in panel.states
        ],
    }
