"""Refused points, written again into the store that refused them.

A store refuses a point for what the store is at that moment: it holds a field as another type, or does not keep points
so old. When that is mended, publishing the reading again would be in vain, for the collector knows it and drops it as a
duplicate. So it is written past the collector, from its dead letter, which has all of it unless it was cut.

Then the journal is told, in one transaction: the letter leaves, and in the store's account a point that was refused is
stored (`Journal.replayed`). A crash in between leaves the letter, and the point is written once more, under the same
key. To the store each call is a source of its own, so the collector's cursor there is not touched.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from collector.dead_letters import Letter, ReplayFailed
from collector.journal import CommitFailed, known_stores, take_back
from collector.stores import Store, StoreRefused, StoreUnavailable
from collector.stores.protocol import halves
from haina.contract import Point
from haina.store_url import StoreURL

BATCH_LETTERS: Final = 1_000

Refused = tuple[Letter, Point]


def write_again(
    letters: Sequence[Refused], folder: Path, open_store: Callable[[str], Store], store: str = ""
) -> tuple[int, dict[int, str]]:
    """Write the points of letters into their stores, oldest first: how many, and why not, by number.

    `store` is the URL of the one store to write to, where several have been called the same. Raises `ReplayFailed` when
    a store cannot take anything now or the journal cannot be told, and what `open_store` raises.
    """
    try:
        known = known_stores(folder)
    except CommitFailed as error:
        raise ReplayFailed(str(error)) from None
    by_url: dict[str, list[Refused]] = {}
    in_vain: dict[int, str] = {}
    for letter, point in sorted(letters, key=lambda refused: refused[0].number):
        found = [url for url, name in known.items() if _is_called(letter.by, url, name) and store in ("", url)]
        if len(found) == 1:
            by_url.setdefault(found[0], []).append((letter, point))
        elif found:
            in_vain[letter.number] = f"{letter.by} has been the name of {' and '.join(found)}; say which with --store"
        else:
            among = f", which is {store}" if store else ""
            in_vain[letter.number] = f"the journal knows no store called {letter.by}{among}"
    written = 0
    for url, its_letters in by_url.items():
        opened = open_store(url)
        try:
            for taken, reason in _write(opened, its_letters):
                if reason:
                    in_vain |= {letter.number: f"it is refused again: {reason}" for letter, _ in taken}
                else:
                    take_back(folder, url, [letter.number for letter, _ in taken])
                    written += len(taken)
        except (StoreUnavailable, CommitFailed) as error:
            raise ReplayFailed(
                f"{error}; {written} of {len(letters)} were written, and left the dead letters"
            ) from None
        finally:
            opened.close()
    return written, in_vain


def _is_called(by: str, url: str, name: str) -> bool:
    """Whether a letter means this store; a journal of an earlier version has no names."""
    return name == by or (not name and StoreURL.parse(url).kind == by.partition("-")[0])


def _write(store: Store, letters: Sequence[Refused]) -> Iterator[tuple[Sequence[Refused], str]]:
    """Letters by and by, each with why the store refused it; "" where it has taken it. Raises `StoreUnavailable`."""
    source = f"replay-{uuid.uuid4().hex}"
    ends = range(BATCH_LETTERS, len(letters) + BATCH_LETTERS, BATCH_LETTERS)
    parts = [(letters[end - BATCH_LETTERS : end], min(end, len(letters))) for end in reversed(ends)]
    while parts:
        part, last = parts.pop()
        try:
            store.write(source, last, [point for _, point in part])
        except StoreRefused as refusal:
            if len(part) > 1:
                parts += halves(part, last)
            else:
                yield part, str(refusal)
        else:
            yield part, ""
