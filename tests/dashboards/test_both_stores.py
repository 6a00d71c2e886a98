"""A page says the same whichever store it is read from."""

import asyncio
import json

import pytest

from dashboards.console.feed import RANGES, Chosen, Feed
from dashboards.pages import PAGES
from haina.query.reader import open_reader
from tests.dashboards import town as made_up
from tests.haina_store import haina_store
from tests.influx import influxdb_1


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    with haina_store(folder / "duckdb") as duckdb, influxdb_1() as influx:
        urls = [duckdb.url, influx.create_bucket("town")]
        for url in urls:
            writer = made_up.Writer(url)
            made_up.seed(writer, hours=6)
            writer.close()
        yield urls


async def window(url, chosen):
    async with open_reader(url) as reader:
        heard = []
        feed = Feed(chosen, reader, lambda: made_up.NOW_MS + 90_000, heard.append)
        told = json.loads((await feed.window())[0])
        assert heard == [""]
        return told


@pytest.mark.parametrize("range_name", list(RANGES))
@pytest.mark.parametrize("page", list(PAGES))
def test_duckdb_and_influxdb_fill_a_page_with_the_same_figures(stores, page, range_name):
    one, other = (asyncio.run(window(url, Chosen(page, range_name))) for url in stores)
    assert any(panel["series"] for panel in one["panels"].values())
    for name, panel in one["panels"].items():
        assert panel["refused"] == ""
        expected = other["panels"][name]
        assert panel["left_off"] == expected["left_off"], name
        if panel["left_off"]:  # which of several equals are left off is nobody's promise
            assert sorted(map(largest, panel["series"])) == pytest.approx(sorted(map(largest, expected["series"])))
            continue
        assert {key(series) for series in panel["series"]} == {key(series) for series in expected["series"]}, name
        found = {key(series): series for series in expected["series"]}
        for series in panel["series"]:
            assert series["t"] == found[key(series)]["t"], name
            if isinstance(series["v"][0], str):
                assert series["v"] == found[key(series)]["v"]
            else:
                assert series["v"] == pytest.approx(found[key(series)]["v"], abs=1e-3), name


def key(series):
    return tuple(series["key"])


def largest(series):
    return max(series["v"])
