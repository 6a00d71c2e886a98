"""The ground the town stands on: one drawn map, `zone.geojson`, and a way to put a site on it.

The map is illustrative -- hand-drawn, surveyed by nobody -- and is all there is: twelve *areas* tile the
*outline* without overlap, neighbours sharing their vertices, and around them are drawn a creek, roads, a metro
line, a temple, parks. The simulator asks `place` for a position and gets the same one for the same two
uniforms; the console draws the features. Positions are (longitude, latitude) in degrees, WGS-84.

`place` cuts an area into square cells once, keeps those that lie in it whole and clear of water, park, temple
and square, and lets the first uniform choose the cell: nobody lives in the creek, and nothing is drawn twice.
"""

import itertools
import json
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

Position = tuple[float, float]

CELL_M = 20.0  # assumed: about a building's footprint; small enough that no area runs out of cells
_OPEN_GROUND = frozenset({"creek", "pond", "park", "temple", "square"})

# Metres per degree at 31.25° N on the WGS-84 ellipsoid (series of the meridian and parallel arc lengths).
_LATITUDE_RAD = math.radians(31.25)
M_PER_DEGREE_LAT = 111_132.954 - 559.822 * math.cos(2 * _LATITUDE_RAD) + 1.175 * math.cos(4 * _LATITUDE_RAD)
M_PER_DEGREE_LON = 111_412.84 * math.cos(_LATITUDE_RAD) - 93.5 * math.cos(3 * _LATITUDE_RAD)


@dataclass(frozen=True)
class Area:
    """One area: its id (`a01` … `a12`), its names, and its closed ring, counter-clockwise."""

    id: str
    name_en: str
    name_zh: str
    ring: tuple[Position, ...]


@lru_cache(maxsize=1)
def text() -> str:
    """The map as it is drawn: GeoJSON text."""
    return resources.files("haina").joinpath("zone.geojson").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def areas() -> tuple[Area, ...]:
    """The twelve areas in the order of their ids."""
    found = [
        Area(feature["id"], feature["properties"]["name_en"], feature["properties"]["name_zh"], _ring(feature))
        for feature in _features()
        if feature["properties"]["kind"] == "area"
    ]
    return tuple(sorted(found, key=lambda area: area.id))


@lru_cache(maxsize=1)
def outline() -> tuple[Position, ...]:
    """The zone's closed ring, counter-clockwise."""
    return next(_ring(feature) for feature in _features() if feature["properties"]["kind"] == "outline")


def area_m2(ring: tuple[Position, ...]) -> float:
    """The area inside a closed ring, in m², on a plane touching the zone (its error here is below 0.1 %)."""
    metres = [_metres(position) for position in ring]
    doubled = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise(metres))
    return abs(doubled) / 2


def distance_m(one: Position, other: Position) -> float:
    """Metres between two positions as the crow flies, on the same plane as `area_m2`."""
    return math.hypot((one[0] - other[0]) * M_PER_DEGREE_LON, (one[1] - other[1]) * M_PER_DEGREE_LAT)


def inside(position: Position, ring: tuple[Position, ...]) -> bool:
    """Whether a position lies inside a closed ring (even-odd rule; a point on the ring may count either way)."""
    x, y = position
    odd = False
    for (x1, y1), (x2, y2) in itertools.pairwise(ring):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd


def place(area_id: str, u: float, v: float) -> Position:
    """A position on built ground of an area, spread evenly, from two uniforms in [0, 1).

    Raises ValueError with a sentence when there is no such area or a uniform is out of range.
    """
    if not (0 <= u < 1 and 0 <= v < 1):
        raise ValueError(f"u and v must be at least 0 and below 1, got {u} and {v}")
    cells = _cells(area_id)
    chosen, across = divmod(u * len(cells), 1)
    left, bottom = cells[int(chosen)]
    return _degrees(left + across * CELL_M, bottom + v * CELL_M)


@lru_cache(maxsize=1)
def _features() -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(text())["features"]
    return features


def _ring(feature: dict[str, Any]) -> tuple[Position, ...]:
    return tuple((longitude, latitude) for longitude, latitude in feature["geometry"]["coordinates"][0])


@lru_cache(maxsize=1)
def _origin() -> Position:
    longitudes, latitudes = zip(*outline(), strict=True)
    return min(longitudes), min(latitudes)


def _metres(position: Position) -> tuple[float, float]:
    longitude, latitude = _origin()
    return (position[0] - longitude) * M_PER_DEGREE_LON, (position[1] - latitude) * M_PER_DEGREE_LAT


def _degrees(x_m: float, y_m: float) -> Position:
    longitude, latitude = _origin()
    return round(longitude + x_m / M_PER_DEGREE_LON, 6), round(latitude + y_m / M_PER_DEGREE_LAT, 6)


@lru_cache(maxsize=32)
def _cells(area_id: str) -> tuple[tuple[float, float], ...]:
    """The lower left corners, in metres, of the cells of an area that may be built on."""
    ring = next((area.ring for area in areas() if area.id == area_id), None)
    if ring is None:
        raise ValueError(f"no area {area_id!r} on the map; there are {', '.join(area.id for area in areas())}")
    own = tuple(_metres(position) for position in ring)
    taken = [
        tuple(_metres(position) for position in _ring(feature))
        for feature in _features()
        if feature["properties"]["kind"] in _OPEN_GROUND
    ]
    near = [shape for shape in taken if _boxes_meet(shape, own)]
    columns = range(math.floor(min(x for x, _ in own) / CELL_M), math.ceil(max(x for x, _ in own) / CELL_M))
    rows = range(math.floor(min(y for _, y in own) / CELL_M), math.ceil(max(y for _, y in own) / CELL_M))
    half = CELL_M / 2  # finer than the narrowest water, so that none hides between two samples

    @cache
    def free(column: int, row: int) -> bool:
        point = (column * half, row * half)
        return inside(point, own) and not any(inside(point, shape) for shape in near)

    return tuple(
        (column * CELL_M, row * CELL_M)
        for column in columns
        for row in rows
        if all(free(2 * column + right, 2 * row + up) for right in (0, 1, 2) for up in (0, 1, 2))
    )


def _boxes_meet(one: tuple[tuple[float, float], ...], other: tuple[tuple[float, float], ...]) -> bool:
    return all(
        min(p[axis] for p in one) <= max(p[axis] for p in other)
        and min(p[axis] for p in other) <= max(p[axis] for p in one)
        for axis in (0, 1)
    )
