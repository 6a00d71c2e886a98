"""The report: a table for the terminal, one JSON object, or one HTML file that needs nothing else.

The page has no script and fetches nothing; its plots are SVG drawn here. A dot on a finding's line shows how much of
the tolerance was used: 1 is its edge.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from haina import __version__
from simulator.validation.finding import Curve, Finding, Outcome, Settings

_STYLE = {"pass": "green", "fail": "bold red", "skipped": "yellow"}
_FILE_WIDTH = 160  # characters, where there is no terminal to ask
_WIDE, _NUMBER_WIDTH, _VERDICT_WIDTH = 110, 9, 7
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 220, 56, 40, 12


def show(outcomes: Sequence[Outcome], to: TextIO) -> None:
    """Print the tables: check, expected, measured, distance, tolerance, verdict, source."""
    console = Console(file=to)
    if not console.is_terminal:
        console = Console(file=to, width=_FILE_WIDTH)
    what_width = 40 if console.width >= _WIDE else 24
    rest = console.width - what_width - 4 * (_NUMBER_WIDTH + 1) - _VERDICT_WIDTH - 2
    for outcome in outcomes:
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", width=what_width)
        for heading in ("expected", "measured", "distance", "tolerance"):
            table.add_column(heading, justify="right", width=_NUMBER_WIDTH, no_wrap=True)
        table.add_column("verdict", width=_VERDICT_WIDTH, no_wrap=True)
        table.add_column("source", width=max(rest, 6), no_wrap=True)
        for found in outcome.findings:
            numbers = [number(v) for v in (found.expected, found.measured, found.distance, found.tolerance)]
            unit = "" if found.unit == "1" else f", {found.unit}"
            verdict = Text(found.verdict, style=_STYLE[found.verdict])
            table.add_row(Text(f"  {found.what}{unit}"), *numbers, verdict, Text(found.source, style="dim"))
        head = Text.assemble(
            (outcome.verdict, _STYLE[outcome.verdict]), " ", (outcome.check.name, "bold"), f"  {outcome.check.title}; "
        )
        console.print(head.append(outcome.left_out or f"asked of {outcome.check.asked_of}", style="dim"))
        if outcome.findings:
            console.print(table)
        console.print()
    console.print(summary(outcomes))


def summary(outcomes: Sequence[Outcome]) -> str:
    """One sentence."""
    counts = {kind: sum(outcome.verdict == kind for outcome in outcomes) for kind in ("pass", "fail", "skipped")}
    return f"Checks passed: {counts['pass']}, failed: {counts['fail']}, left out: {counts['skipped']}."


def number(value: float) -> str:
    """Four significant digits."""
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def as_json(outcomes: Sequence[Outcome], settings: Settings) -> dict[str, Any]:
    """Everything but the curves; numbers that are none become null."""
    return {
        "haina": __version__,
        "seed": settings.seed,
        "quick": settings.quick,
        "passed": all(outcome.verdict != "fail" for outcome in outcomes),
        "checks": [
            {
                "name": outcome.check.name,
                "title": outcome.check.title,
                "asked_of": outcome.check.asked_of,
                "verdict": outcome.verdict,
                "left_out": outcome.left_out,
                "took_s": round(outcome.took_s, 2),
                "findings": [_as_dict(found) for found in outcome.findings],
            }
            for outcome in outcomes
        ],
    }


def _as_dict(found: Finding) -> dict[str, Any]:
    numbers = {name: getattr(found, name) for name in ("expected", "measured", "distance", "tolerance")}
    return {
        "what": found.what,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "unit": found.unit,
        "verdict": found.verdict,
        "test": found.test,
        "source": found.source,
    }


def json_text(outcomes: Sequence[Outcome], settings: Settings) -> str:
    return json.dumps(as_json(outcomes, settings), ensure_ascii=False, allow_nan=False)


def html(outcomes: Sequence[Outcome], settings: Settings) -> str:
    """The whole page."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    size = "quick" if settings.quick else "full"
    sections = "".join(_section(outcome) for outcome in outcomes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Haina: do the models hold?</title><style>{_CSS}</style></head><body>"
        f"<h1>Do the models hold?</h1><p>{escape(summary(outcomes))} Haina {escape(__version__)}, seed "
        f"{settings.seed}, {size} run, {made}.</p>"
        f"{sections}</body></html>\n"
    )


def _section(outcome: Outcome) -> str:
    check = outcome.check
    head = (
        f'<section id="{escape(check.name)}"><h2>{escape(check.title)} '
        f'<span class="{outcome.verdict}">{outcome.verdict}</span></h2>'
        f"<p><code>{escape(check.name)}</code>, asked of {escape(check.asked_of)}.</p>"
    )
    if outcome.left_out:
        return f"{head}<p>Left out: {escape(outcome.left_out)}.</p></section>"
    rows = "".join(_row(found) for found in outcome.findings)
    columns = "".join(
        f"<th>{name}</th>"
        for name in ("finding", "expected", "measured", "distance", "tolerance", "used", "verdict", "test", "source")
    )
    curves = "".join(_figure(found.what, found.curve) for found in outcome.findings if found.curve)
    return f'{head}<div class="wide"><table><tr>{columns}</tr>{rows}</table></div>{curves}</section>'


def _row(found: Finding) -> str:
    numbers = "".join(
        f'<td class="n">{number(v)}</td>' for v in (found.expected, found.measured, found.distance, found.tolerance)
    )
    unit = "" if found.unit == "1" else f" <small>{escape(found.unit)}</small>"
    return (
        f"<tr><td>{escape(found.what)}{unit}</td>{numbers}<td>{_used(found)}</td>"
        f'<td><span class="{found.verdict}">{found.verdict}</span></td>'
        f"<td>{escape(found.test)}</td><td>{escape(found.source)}</td></tr>"
    )


def _used(found: Finding) -> str:
    """How much of the tolerance was used, on a line from 0 to 2."""
    share = found.distance / found.tolerance if found.tolerance else float(found.distance > 0) * 2
    x = 105 if math.isnan(share) else 5 + 50 * min(share, 2.0)
    return (
        f'<svg width="110" height="14" role="img" aria-label="{number(share)} of the tolerance">'
        '<line x1="5" x2="105" y1="7" y2="7" class="axis"/><line x1="55" x2="55" y1="1" y2="13" class="edge"/>'
        f'<circle cx="{x:.1f}" cy="7" r="4" class="dot {found.verdict}"/></svg>'
    )


def _figure(title: str, curve: Curve) -> str:
    """Expected as a line, measured as dots, from zero up."""
    low, high = min(curve.x), max(curve.x)
    top = max(*curve.expected, *curve.measured) * 1.08 or 1.0
    right, ground = _WIDTH - 12, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low) / ((high - low) or 1)
        return _LEFT + across * (right - _LEFT), ground - y / top * (ground - _TOP)

    points = [place(x, y) for x, y in zip(curve.x, curve.expected, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{place(x, y)[0]:.1f}" cy="{place(x, y)[1]:.1f}" r="3.5" class="dot"/>'
        for x, y in zip(curve.x, curve.measured, strict=True)
    )
    ticks = "".join(
        f'<text x="{place(x, 0)[0]:.1f}" y="{ground + 16}" text-anchor="middle">{number(x)}</text>'
        for index, x in enumerate(curve.x)
        if len(curve.x) <= 12 or index % 3 == 0
    )
    levels = "".join(
        f'<text x="{_LEFT - 6}" y="{place(low, top * part)[1] + 4:.1f}" text-anchor="end">{number(top * part)}</text>'
        for part in (0.0, 0.5, 1.0)
    )
    return (
        f"<figure><figcaption>{escape(title)}: expected (line) and measured (dots), {escape(curve.y_name)} by "
        f'{escape(curve.x_name)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><line x1="{_LEFT}" x2="{right}" y1="{ground}" y2="{ground}" class="axis"/>'
        f'<polyline points="{line}" class="expected"/>{dots}{ticks}{levels}'
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(curve.x_name)}</text>'
        "</svg></figure>"
    )


_CSS = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667; --line: #d5dae0; --paper: #fff; --good: #1a7f4b;
  --bad: #c02b2b; --note: #9a6b00; --mark: #2767b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #99a3b0; --line: #3a424d; --paper: #14181d;
  --good: #4cc38a; --bad: #ff7a70; --note: #e3b341; --mark: #6cb0ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th, small, figcaption, section > p { color: var(--soft); font-weight: 400; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
span.pass { color: var(--good); } span.fail { color: var(--bad); font-weight: 700; }
span.skipped { color: var(--note); }
figure { margin: 1rem 0; max-width: 640px; } figcaption { font-size: 13px; }
svg text { font-size: 11px; fill: var(--soft); }
.axis { stroke: var(--line); } .edge { stroke: var(--soft); }
.expected { fill: none; stroke: var(--soft); stroke-width: 2; }
.dot { fill: var(--mark); } .dot.pass { fill: var(--good); } .dot.fail { fill: var(--bad); }
"""
