"""Points for tests, with sane values."""

from haina.contract import Point, measurement

START_MS = 1_790_035_200_000  # 2026-09-22T00:00Z


def wristband(**known: bool | float | None) -> tuple[bool | float | None, ...]:
    """A wristband's values in the contract's order; what is not known is absent."""
    return tuple(known.get(field) for field in measurement("wearable").field_names)


def build_points(count: int, *, first: int = 1, area: str = "caoyang", devices: int = 5, boot: int = 1) -> list[Point]:
    """Wristband and kiosk readings, numbered on from `first`, ten seconds apart for each device."""
    points = []
    for number in range(first, first + count):
        device = f"device-{number % devices}"
        moment = START_MS + number // devices * 10_000
        if number % 3:
            pulse_bpm = None if number % 2 else 61.0
            values = wristband(worn=True, steps=number % 7, battery_pct=88.5, heart_rate_bpm=pulse_bpm)
            points.append(Point("wearable", area, "home-1", device, moment, boot, number, values))
        else:
            points.append(
                Point(
                    "kiosk_state",
                    area,
                    "centre-1",
                    device,
                    moment,
                    boot,
                    number,
                    (number % 4, "none", 50.0, None, None),
                )
            )
    return points
