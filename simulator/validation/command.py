"""`haina validate`: hold the models against theory and recordings, and say how far apart they are."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from haina.command_line import fail

app = typer.Typer()


@app.command()
def validate(
    to_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write one JSON object to this file; - is stdout.")
    ] = None,
    to_html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller samples, without the check `homes`.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", help="Make only this check; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(envvar="HAINA_SEED", help="Same seed, same findings.")] = 1,
) -> None:
    """Check the models against theory and recordings.

    The models against queueing theory, their random numbers against their laws, and all against recordings. Exit code 1
    when a check fails. With HAINA_DATA, a folder of recordings, these are measured too.

    Examples:

      haina validate --quick

      haina validate --html validation.html --json validation.json

      haina validate --only erlang-c --only thinning
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from haina.command_line import stderr_console
    from simulator.validation.checks import CHECKS, run
    from simulator.validation.finding import Check, Settings
    from simulator.validation.report import html, json_text, show

    known = {check.name: check for check in CHECKS}
    for name in only or ():
        if name not in known:
            fail(f"--only {name}: no such check; known are {', '.join(known)}")
    chosen = [check for check in CHECKS if not only or check.name in only]
    for option, folder in (("--html", to_html), ("--json", None if to_json in {None, "-"} else Path(to_json or ""))):
        if folder is not None and not folder.absolute().parent.is_dir():
            fail(f"{option} {folder}: there is no folder {folder.parent}")
        if folder is not None and folder.is_dir():
            fail(f"{option} {folder}: Is a directory")
    data = os.environ.get("HAINA_DATA")
    settings = Settings(seed=seed, quick=quick, recordings=Path(data) if data else None)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    outcomes = []
    console = stderr_console()
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=sum(check.weight_s for check in chosen))

            def begun(check: Check) -> None:
                progress.update(task, description=check.title)

            for outcome in run(chosen, settings, begun):
                outcomes.append(outcome)
                progress.advance(task, outcome.check.weight_s)
    except KeyboardInterrupt:
        fail("interrupted; nothing was written", code=130)
    try:
        if to_html is not None:
            to_html.write_text(html(outcomes, settings), encoding="utf-8")
        if to_json == "-":
            print(json_text(outcomes, settings))
        elif to_json is not None:
            Path(to_json).write_text(json_text(outcomes, settings) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    if to_json != "-":
        show(outcomes, sys.stdout)
    if any(outcome.verdict == "fail" for outcome in outcomes):
        raise typer.Exit(1)
