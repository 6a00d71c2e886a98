"""The docs say what the code says."""

import re
from pathlib import Path

import pytest

from haina.contract import MEASUREMENTS
from simulator.scenario import parameters_markdown

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
]


def test_every_parameter_stands_in_the_docs_as_it_is_in_the_code() -> None:
    assert (ROOT / "docs/models.md").read_text().endswith(parameters_markdown()), (
        "renew the list in docs/models.md with: haina scenario parameters"
    )


def test_every_measurement_stands_with_the_model_that_says_it() -> None:
    table = (ROOT / "docs/models.md").read_text().partition("| model | objective")[2].partition("\n\n")[0]
    assert {name for name in MEASUREMENTS if f"`{name}`" not in table} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_in_the_readme_is_one_that_exists() -> None:
    from typer.main import get_command

    from haina.command import compose

    group = get_command(compose())
    for words in re.findall(r"^    haina (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert words in group.commands, f"README shows haina {words}"  # type: ignore[attr-defined]


def test_every_make_target_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.name} names make {target}"
