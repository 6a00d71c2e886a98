"""The pages, found where applications put them: a module `centres` holds a page `CENTRES`.

Nobody lists them, so an application adds its page as one module here and its words as one file a language in `text/`.
"""

import importlib
import pkgutil

from dashboards.panels import Page, SiteKind


def _found() -> list[Page]:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    pages: list[Page] = [getattr(importlib.import_module(f"{__name__}.{name}"), name.upper()) for name in names]
    return sorted(pages, key=lambda page: (page.rank, page.id))


PAGES: dict[str, Page] = {page.id: page for page in _found()}
SITES: dict[str, SiteKind] = {kind.id: kind for page in PAGES.values() for kind in page.sites}

__all__ = ["PAGES", "SITES"]
