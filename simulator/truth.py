"""The truth ledger: what really happened, kept off the wire so that alarms can be scored against it.

One JSON object a line: `{"time": <ms since 1970>, "kind": …, "area": …, "site": …, …details}`. Whatever happens has
two lines: one of its kind when it begins, and one of `<kind>_end` when it is over, both with the same `event` id (the
site, the boot, a number); what is over at once has both in one moment. What follows from an event names it as `cause`.
An event without its second line went on until the boot ended. A `resident` line is no event: it says who lives there.
"""

import json
from pathlib import Path
from typing import Any

from simulator.town import Site


class TruthLedger:
    """An append-only JSON Lines file. Raises OSError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def record(self, kind: str, site: Site, **details: Any) -> None:
        """Note an event at a site now."""
        entry = {"time": site.town.now_ms, "kind": kind, "area": site.area, "site": site.id, **details}
        self._file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class NoTruth:
    """Keeps nothing: for measurements of speed and for files without a ledger."""

    def record(self, kind: str, site: Site, **details: Any) -> None:
        """Forget it."""
