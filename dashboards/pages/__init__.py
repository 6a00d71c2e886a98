"""The four pages. An application adds its panels as one module here and one row in `PAGES`."""

from dashboards.pages.care import CARE
from dashboards.pages.centres import CENTRES
from dashboards.pages.collector import COLLECTOR
from dashboards.pages.town import TOWN
from dashboards.panels import Page

PAGES: dict[str, Page] = {page.id: page for page in (TOWN, CENTRES, CARE, COLLECTOR)}

__all__ = ["CARE", "CENTRES", "COLLECTOR", "PAGES", "TOWN"]
