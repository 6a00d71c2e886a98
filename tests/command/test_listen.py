"""Where to listen is written in one way for every part."""

import pytest

from haina.listen import NotHostPort, host_port


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8790", ("127.0.0.1", 8790)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65_535)),
    ],
)
def test_a_host_and_a_port_are_told_apart(text: str, found: tuple[str, int]) -> None:
    assert host_port(text) == found


@pytest.mark.parametrize(
    "text", ["", "8790", ":8790", "127.0.0.1", "127.0.0.1:", "here:65536", "a b:80", "a:b:80", "here:-1", "here:٣"]
)
def test_anything_else_is_refused_with_what_it_should_be(text: str) -> None:
    with pytest.raises(NotHostPort, match=r"must be host:port, such as 127\.0\.0\.1:8080 \(got '"):
        host_port(text)
