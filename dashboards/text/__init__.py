"""The words: one catalogue a language, `en.toml` and `zh.toml`, with the same keys; tests say so.

An application brings its own words in `en/<application>.toml` and `zh/<application>.toml`; those it shares with
others it need not repeat.

Keys are dotted: `panel.<id>` is a panel's title, `about.<id>` its explanation, `line.<name>`, `state.<name>` and
`unit.<name>` are what the parts of panels are called, `console.<…>` is everything else on a page.
"""

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: Language) -> dict[str, str]:
    """All words of a language by dotted key."""
    folder = resources.files(__package__)
    own = sorted((file for file in folder.joinpath(language).iterdir()), key=lambda file: file.name)
    words: dict[str, str] = {}
    for file in (folder.joinpath(f"{language}.toml"), *own):
        for key, phrase in _flat("", tomllib.loads(file.read_text(encoding="utf-8"))):
            if words.setdefault(key, phrase) != phrase:
                raise ValueError(f"text/{language}/{file.name}: {key!r} is {words[key]!r} elsewhere")
    return words


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            entries.extend(_flat(f"{prefix}{key}.", value))
        else:
            entries.append((prefix + key, value))
    return entries


def text(language: Language, key: str) -> str:
    """The words for a key. Raises KeyError with a sentence."""
    try:
        return catalogue(language)[key]
    except KeyError:
        raise KeyError(f"text/{language}.toml has no {key!r}") from None
