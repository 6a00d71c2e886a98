"""Takes the README's pictures anew, of a real demo: `make pictures`, some five minutes.

It starts `haina demo` in a temporary folder, lets the town live until a working afternoon, and looks at the console as
a visitor would. What a picture must show is awaited: nobody photographs an empty map.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from playwright.sync_api import Page

from tests.brokers import free_port
from tests.dashboards.running_console import ROOT, chromium

IMAGES = ROOT / "docs" / "images"
VIEW = {"width": 1440, "height": 900}
START_TIMEOUT_S = 300.0  # with the history of a day
WAIT_TIMEOUT_MS = 600_000
SETTLE_MS = 30_000  # half a simulated hour: charts end with what was drawn at the speed that is shown
SHANGHAI = ZoneInfo("Asia/Shanghai")
AFTERNOON = range(14, 16)  # hours of the town's clock
SATURDAY = 5
CHINESE = {"name": "haina_language", "value": "zh"}


def take(folder: Path) -> None:
    """All pictures, into docs/images."""
    with _demo(folder) as url, chromium() as browser:
        context = browser.new_context(viewport=VIEW)
        page = context.new_page()
        page.goto(url)
        _live_until_afternoon(page, url)
        for name, least, cookies in (("town", 1, []), ("town-zh", 2, [{**CHINESE, "url": url}])):
            context.add_cookies(cookies)
            page.goto(url)
            page.wait_for_function(
                f"() => document.querySelector('[data-members]')?.dataset.members >= {least}", timeout=WAIT_TIMEOUT_MS
            )
            _photograph(page, name)
        context.clear_cookies()
        for name in ("centres", "care"):
            page.goto(f"{url}/{name}")
            page.wait_for_function(
                "() => [...document.querySelectorAll('[data-panel]')].every(panel => panel.dataset.drawn)"
            )
            _photograph(page, name)


def _live_until_afternoon(page: Page, url: str) -> None:
    page.locator('.clock [data-phase="live"]').wait_for(timeout=WAIT_TIMEOUT_MS)
    _ask(url, speed=0, future=True)
    while not _is_working_afternoon(_town_time(page)):
        time.sleep(0.1)
    _ask(url, speed=60, future=True)
    page.wait_for_timeout(SETTLE_MS)


def _ask(url: str, **wish: object) -> None:
    answer = httpx.post(f"{url}/api/clock", json=wish, trust_env=False).raise_for_status().json()
    if not answer["done"]:
        raise RuntimeError(f"the town's clock refuses: {answer}")


def _town_time(page: Page) -> datetime:
    said = page.locator(".clock time").get_attribute("datetime") or ""
    return datetime.fromisoformat(said).astimezone(SHANGHAI)


def _is_working_afternoon(time: datetime) -> bool:
    return time.weekday() < SATURDAY and time.hour in AFTERNOON


def _photograph(page: Page, name: str) -> None:
    page.wait_for_timeout(1500)  # lets fonts and the map settle
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")


@contextmanager
def _demo(folder: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    demo = subprocess.Popen(
        [sys.executable, "-m", "haina", "demo", "--data", str(folder), "--listen", url.removeprefix("http://")],
        cwd=ROOT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not _answers(url):
            if demo.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("the demo did not start")
            time.sleep(0.2)
        yield url
    finally:
        demo.terminate()
        demo.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="haina-pictures-") as made:
        take(Path(made))
