"""The Dockerfile's steps, run without Docker: each COPY and RUN of the build stage, in an empty folder."""

import fnmatch
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from haina import __version__
from tests.brokers import ROOT


@dataclass(frozen=True)
class Step:
    """One instruction: `COPY`, `a b ./`."""

    word: str
    rest: str


def stages() -> list[list[Step]]:
    """The Dockerfile's instructions, by stage."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    found: list[list[Step]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Step(word, " ".join(rest.split())))
    return found


def sources(step: Step) -> list[str]:
    *names, _ = shlex.split(step.rest)
    return [name.removeprefix("./") for name in names]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a path out of the build: the last pattern that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        negated, pattern = pattern.startswith("!"), pattern.removeprefix("!").removeprefix("**/")
        if (
            fnmatch.fnmatch(name, pattern)
            or fnmatch.fnmatch(Path(name).name, pattern)
            or name.startswith(f"{pattern}/")
        ):
            out = not negated
    return out


def test_the_build_gets_what_it_copies_and_neither_secrets_nor_data() -> None:
    for step in stages()[0]:
        if step.word == "COPY":
            for name in sources(step):
                assert (ROOT / name).exists(), name
                assert not ignored(name), name
    for name in (".env", ".git", "data", "tests", "deploy", ".venv", "data/demo/run.sent", "haina/__pycache__"):
        assert ignored(name), name


def test_the_image_is_made_from_hashes_and_wheels_alone() -> None:
    build, final = stages()
    installs = [step.rest for step in build if step.word == "RUN" and "pip install" in step.rest]
    assert len(installs) == 2
    assert all(option in installs[0] for option in ("--require-hashes", "--only-binary :all:", "requirements.lock"))
    assert all(option in installs[1] for option in ("--no-deps", "--no-build-isolation"))
    assert not any(word in step.rest for step in [*build, *final] for word in ("apt-get", "apk ", "curl ", "wget "))
    assert Step("USER", "haina") in final


@pytest.mark.timeout(600)  # installs everything anew: 50 s with pip's cache filled, minutes without
def test_the_image_builds_in_an_empty_folder_and_its_haina_works_outside_the_clone(tmp_path: Path) -> None:
    places = {"/src": tmp_path / "src", "/opt/haina": tmp_path / "opt/haina"}
    (tmp_path / "src").mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "PIP_NO_COMPILE": "1",  # bytecode only saves time later
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")},
    }
    for step in stages()[0]:
        match step.word:
            case "COPY":
                *_, target = shlex.split(step.rest)
                for name in sources(step):
                    source = ROOT / name
                    if source.is_dir():  # Docker copies a folder's content into the target
                        shutil.copytree(
                            source,
                            places["/src"] / target,
                            ignore=lambda folder, names: {
                                name for name in names if ignored((Path(folder) / name).relative_to(ROOT).as_posix())
                            },
                        )
                    else:
                        shutil.copy(source, places["/src"] / target)
            case "RUN":
                command = step.rest.replace(" --no-cache-dir", "")  # an image keeps no cache; here it saves minutes
                for theirs, here in places.items():
                    command = command.replace(theirs, str(here))
                done = subprocess.run(
                    ["sh", "-c", command],
                    cwd=places["/src"],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            case "FROM" | "WORKDIR":
                pass
            case _:
                pytest.fail(f"the build stage has a step this test cannot run: {step}")

    # The second stage takes the environment and nothing else.
    shutil.rmtree(places["/src"])
    assert Step("COPY", "--from=build /opt/haina /opt/haina") in stages()[1]
    away = tmp_path / "away"
    away.mkdir()
    haina = places["/opt/haina"] / "bin/haina"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [haina, *arguments],
            cwd=away,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stderr[-2000:]}"
        return done.stdout

    assert run("--version").strip() == f"haina {__version__}"
    run("dashboards", "render", "--check")  # panels, texts, the map and the rendered dashboards are all in there
    for scenario in ("laptop", "pilot-zone"):
        run(
            "simulate", "--scenario", scenario, "--seed", "7", "--start", "2026-03-02T00:00+08:00",
            "--duration", "1m", "--to", f"{scenario}.jsonl",
        )  # fmt: skip
        assert (away / f"{scenario}.jsonl").stat().st_size > 0
    files = {path.name for path in away.iterdir()}
    assert files == {"laptop.jsonl", "pilot-zone.jsonl"}  # read-only file systems would have refused anything else
