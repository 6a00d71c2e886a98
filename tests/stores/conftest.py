"""Servers that the tests of a module share; each test makes a bucket or a source of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.haina_store import RunningStore, haina_store
from tests.influx import RunningInflux, influxdb_1, influxdb_2


@pytest.fixture(scope="module", params=[1, 2], ids=["influxdb-1", "influxdb-2"])
def influx(request: pytest.FixtureRequest) -> Iterator[RunningInflux]:
    with influxdb_1() if request.param == 1 else influxdb_2() as running:
        yield running


@pytest.fixture(scope="module")
def influx_1() -> Iterator[RunningInflux]:
    with influxdb_1() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunningStore]:
    with haina_store(tmp_path / "store") as running:
        yield running
