"""Logs go to stderr as it is when a line is written."""

import io

import pytest
import structlog

from haina.logs import configure_logs

module_log = structlog.get_logger()  # as the rooms have them, at a module's level


def test_a_log_set_up_on_a_stream_that_has_gone_since_writes_to_the_one_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, now = io.StringIO(), io.StringIO()
    try:
        monkeypatch.setattr("sys.stderr", gone)
        configure_logs(form="json")
        module_log.info("first")
        monkeypatch.setattr("sys.stderr", now)
        first = gone.getvalue()
        gone.close()
        module_log.info("second")
        structlog.get_logger().bind(site="a01").warning("third")
    finally:
        structlog.reset_defaults()
    assert '"event": "first"' in first
    assert [line.count(word) for line, word in zip(now.getvalue().splitlines(), ("second", "third"), strict=True)] == [
        1,
        1,
    ]
