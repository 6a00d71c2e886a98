"""A store URL says where and never who, and `open_store` sends nothing yet."""

import pytest

from collector.stores import BadStoreURL, open_store
from haina.query.reader import open_reader
from haina.store_url import StoreURL
from tests.stores.points import build_points


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("null:", "null"),
        ("duckdb+http://127.0.0.1:8790", "duckdb"),
        ("duckdb+https://store.example", "duckdb"),
        ("duckdb+http://[::1]:8790", "duckdb"),
        ("influxdb+http://127.0.0.1:8086/town?org=haina", "influxdb"),
        ("influxdb+https://influx.example/town", "influxdb"),
    ],
)
def test_a_store_url_opens_its_store_and_reads_back_the_same(text: str, name: str) -> None:
    store = open_store(text)
    assert store.name == name
    assert str(StoreURL.parse(text)) == text
    store.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "duckdb",
        "duckdb://127.0.0.1:8790",
        "duckdb+http://",
        "duckdb+http://127.0.0.1:8790/town",
        "duckdb+http://127.0.0.1:99999",
        "duckdb+http://a b:8790",
        "http://127.0.0.1:8086/town",
        "influxdb+http://127.0.0.1:8086",
        "influxdb+http://127.0.0.1:8086/a/b",
        "influxdb+ftp://127.0.0.1/town",
        "mqtt://127.0.0.1",
    ],
)
def test_what_is_no_store_url_is_answered_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(BadStoreURL, match="store URL"):
        open_store(text)


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        ("influxdb+http://LOCALHOST/town/?org=haina", True),
        ("influxdb+http://127.0.0.1:80/town", True),
        ("influxdb+http://[::1]/town?org=haina", True),
        ("influxdb+http://127.0.0.1/town?org=elsewhere", False),
        ("influxdb+http://127.0.0.1:8086/town?org=haina", False),
        ("influxdb+http://127.0.0.1/village?org=haina", False),
        ("duckdb+http://127.0.0.1:80", False),
    ],
)
def test_a_store_is_known_again_however_it_is_spelled(second: str, is_same: bool) -> None:
    first = StoreURL.parse("influxdb+http://127.0.0.1/town?org=haina")
    assert first.is_same_as(StoreURL.parse(second)) == StoreURL.parse(second).is_same_as(first) == is_same


@pytest.mark.parametrize(
    "text",
    [
        "duckdb+http://user:hunter2@127.0.0.1:8790",
        "influxdb+http://hunter2@127.0.0.1:8086/town",
        "influxdb+http://127.0.0.1:8086/town?org=haina&token=hunter2",
    ],
)
def test_a_secret_in_a_store_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadStoreURL, match="HAINA_INFLUX_TOKEN") as caught:
        open_store(text)
    assert "hunter2" not in str(caught.value)


def test_the_null_store_takes_everything_and_answers_nothing() -> None:
    store = open_store("null:")
    store.write("journal", 10, build_points(10))
    store.close()
    with pytest.raises(BadStoreURL, match="keeps nothing"):
        open_reader("null:")
