"""A broker's address says where and as whom, and never the password."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haina.mqtt import BrokerAddress, InvalidAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", BrokerAddress("localhost", 1883)),
        ("mqtts://broker.example/", BrokerAddress("broker.example", 8883, tls=True)),
        ("mqtt://10.0.0.7:1884", BrokerAddress("10.0.0.7", 1884)),
        ("mqtt://[::1]:1884", BrokerAddress("::1", 1884)),
        ("mqtt://my_broker.2b.example.", BrokerAddress("my_broker.2b.example.", 1883)),
        ("mqtt://gateway@localhost", BrokerAddress("localhost", 1883, username="gateway")),
        ("mqtt://g%40w:p%2Fw@localhost", BrokerAddress("localhost", 1883, username="g@w", password="p/w")),
    ],
)
def test_a_url_is_read(url: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(url) == address
    assert BrokerAddress.parse(str(address)) == BrokerAddress(address.host, address.port, address.tls)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:1883",
        "http://localhost",
        "mqtt://",
        "mqtt://a b",
        "mqtt://a..b",
        "mqtt://1883",
        "mqtt://10.0.0.256",
        "mqtt://gateway:s3cret@a b",
        "mqtt://localhost:0",
        "mqtt://localhost:x",
        "mqtt://localhost/topic",
        "mqtt://localhost?x=1",
        "mqtt://:s3cret@localhost",
        "mqtt://gateway:s3cret/x@localhost",
        "mqtt://gateway:s3cret[@localhost",
        "mqtt://gateway:s3cret#x@localhost",
        "ftp://gateway:s3cret@localhost",
        "mqtt://gateway:s3cret@loc\u2100lhost",
    ],
)
def test_what_is_no_brokers_url_is_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(InvalidAddress) as error:
        BrokerAddress.parse(url)
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


@given(st.text())
def test_any_text_is_an_address_or_an_invalid_address(text: str) -> None:
    for url in (text, f"mqtt://{text}", f"mqtt://user:{text}@host"):
        with suppress(InvalidAddress):
            BrokerAddress.parse(url)


def test_a_password_is_in_no_text_of_an_address() -> None:
    address = BrokerAddress.parse("mqtts://gateway:s3cret@broker.example")
    assert str(address) == "mqtts://broker.example:8883"
    assert "s3cret" not in f"{address} {address!r} {address!s}"
