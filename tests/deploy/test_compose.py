"""docker-compose.yml: both generations of Compose take it, what it names exists, and it gives nothing away."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from dashboards.grafana import push, render
from dashboards.text import LANGUAGES
from haina import __version__
from haina.command import compose
from haina.command_line import duration_s
from haina.store_url import COLLECTOR_TOKEN, TOKEN_VARIABLES, StoreURL
from tests.brokers import ROOT
from tests.deploy.stack import COMPOSE_FILE, Stack, find_program, variables

SERVICES = ("credentials", "mosquitto", "influxdb", "collector", "rollup", "simulator", "console", "grafana")
OURS = ("credentials", "collector", "rollup", "simulator", "console")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("stack"))


def run_compose_v1(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = find_program("docker-compose", "docker-compose")
    return subprocess.run(
        [program, "--project-directory", ROOT, "--file", COMPOSE_FILE, *arguments],
        env={"PATH": str(Path(program).parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Source, target and mode of each volume."""
    for volume in service.get("volumes", []):
        source, target, mode = [*volume.split(":"), "rw"][:3]
        yield source, target, mode


def test_compose_v1_accepts_it_with_a_generated_env(stack: Stack) -> None:
    done = run_compose_v1("--env-file", stack.env_file, "config")
    assert (done.returncode, done.stderr) == (0, "")
    understood = yaml.safe_load(done.stdout)["services"]
    assert set(understood) == set(SERVICES)
    for name in SERVICES:  # the order of starting survives, conditions and all
        assert understood[name].get("depends_on", {}) == stack.services[name].get("depends_on", {})
        assert understood[name].get("environment", {}) == stack.services[name].get("environment", {})


def test_without_env_compose_says_what_to_run(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    done = run_compose_v1("--env-file", empty, "config")
    assert done.returncode != 0
    assert "run `make env` first" in done.stderr


def test_it_uses_nothing_that_one_generation_of_compose_has_and_the_other_not(stack: Stack) -> None:
    whole = yaml.safe_load(COMPOSE_FILE.read_text())
    assert {key for key in whole if not key.startswith("x-")} == {"services", "volumes"}  # v2 complains of `version`
    for service in stack.services.values():
        assert not {"deploy", "configs", "secrets", "profiles", "develop", "container_name"} & set(service)
        assert all(set(wanted) == {"condition"} for wanted in service.get("depends_on", {}).values())
        for variable, value in service.get("environment", {}).items():
            assert isinstance(value, str), f"{variable} would be read differently"
    builders = [name for name, service in stack.services.items() if "build" in service]
    assert builders == ["collector"]  # several builders of one image race for its name


def test_every_image_is_pinned_to_a_release(stack: Stack) -> None:
    images = [service["image"] for service in stack.services.values()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == len(SERVICES) + 2
    for image in images:
        name, _, tag = image.partition(":")
        assert name
        assert re.match(r"\d+\.\d+\.\d+(-|$)", tag), image


def test_our_image_bears_the_version_of_the_package(stack: Stack) -> None:
    assert {stack.services[name]["image"] for name in OURS} == {f"haina:{__version__}"}


def test_every_published_port_is_bound_to_loopback_and_no_two_collide(stack: Stack) -> None:
    ports = [port for service in stack.services.values() for port in service.get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports), ports
    assert len({port.split(":")[1] for port in ports}) == len(ports) == 5
    for service in stack.services.values():
        assert not {"network_mode", "privileged", "devices", "pid", "ipc"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_power_than_it_needs(stack: Stack, name: str) -> None:
    service = stack.services[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["restart"] == ("on-failure" if name == "credentials" else "unless-stopped")
    assert service["mem_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    if name in OURS:
        assert "\nUSER haina\n" in (ROOT / "Dockerfile").read_text()
    else:
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])


def test_every_service_has_a_health_check_or_a_reason() -> None:
    text = COMPOSE_FILE.read_text()
    for name in SERVICES:
        block = re.split(r"\n  (?=\w[\w-]*:\n)|\nvolumes:", text.split(f"\n  {name}:\n", 1)[1], maxsplit=1)[0]
        assert ("\n    healthcheck:" in block) != ("# No health check: " in block), name


def test_whoever_is_waited_for_can_say_that_it_is_ready(stack: Stack) -> None:
    for service in stack.services.values():
        for other, wanted in service.get("depends_on", {}).items():
            if other == "credentials":
                assert wanted == {"condition": "service_completed_successfully"}
                continue
            assert wanted == {"condition": "service_healthy"}
            assert "healthcheck" in stack.services[other]
    assert "collector" in stack.services["simulator"]["depends_on"]
    assert "collector" not in stack.services["console"]["depends_on"]  # it must show that the collector is away


def test_every_mounted_path_exists_and_is_mounted_for_reading_only(stack: Stack) -> None:
    volumes = set(yaml.safe_load(COMPOSE_FILE.read_text())["volumes"])
    used = set()
    for service in stack.services.values():
        for source, target, mode in mounts(service):
            assert target.startswith("/")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert mode == "ro", source
            else:
                used.add(source)
    assert used == volumes


@pytest.mark.parametrize("script", ["generate-env.sh", "influxdb/reader.sh", "mosquitto/start.sh"])
def test_the_scripts_are_such_that_any_shell_runs_them(script: str) -> None:
    """InfluxDB's image passes over a script that may not be executed, and Alpine's shell is not bash."""
    path = ROOT / "deploy" / script
    assert path.stat().st_mode & 0o111 == 0o111
    assert path.read_text().startswith("#!/bin/sh\n")
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0


def test_each_part_sees_its_own_secrets_alone(stack: Stack) -> None:
    kept = {source: target for source, target, _ in mounts(stack.services["credentials"])}
    for name in ("mosquitto", "simulator", "collector", "console"):
        seen = {source: mode for source, _, mode in mounts(stack.services[name]) if source in kept}
        assert seen == {f"{name}-secrets": "ro"}
        assert kept[f"{name}-secrets"] == f"/secrets/{name}"
    user = re.search(r"useradd .*--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert user is not None
    assert stack.services["mosquitto"]["user"].startswith(
        f"{user[1]}:"
    )  # who else may read what is for its owner alone


def test_no_container_can_write_where_another_keeps_its_data(stack: Stack) -> None:
    named = [source for service in stack.services.values() for source, _, mode in mounts(service) if mode == "rw"]
    assert len(named) == len(set(named))


# Our own commands


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(compose())
    return dict(group.commands)


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_is_one_that_haina_knows(
    stack: Stack, commands: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed by the command itself, in the environment Compose would give it; nothing runs."""
    service = stack.services[name]
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, value)
    command = commands[service["command"][0]]
    with command.make_context(service["command"][0], list(service["command"][1:])) as context:
        given = context.params
    if name == "rollup":
        assert given["keep"] == stack.services["influxdb"]["environment"]["DOCKER_INFLUXDB_INIT_RETENTION"]
        assert duration_s(given["every"], "--every") == 3_600
    elif name != "credentials":
        assert str(given["broker"]) == service["environment"]["HAINA_BROKER"]
        assert str(given["data"]).split("/")[:2] == ["", "data"]
    understood = {option.envvar for option in command.params} | {COLLECTOR_TOKEN, *TOKEN_VARIABLES.values()}
    assert set(service["environment"]) <= understood


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_on_a_command_line(stack: Stack, name: str) -> None:
    service = stack.services[name]
    lines = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
    assert not [line for line in lines for secret in stack.secrets.values() if len(secret) > 8 and secret in line]


def test_grafana_where_people_write_their_own_statements_does_not_hold_the_token_that_may_write(
    stack: Stack,
) -> None:
    token = stack.secrets["HAINA_INFLUX_TOKEN"]
    holders = {name for name, service in stack.services.items() if token in service.get("environment", {}).values()}
    assert holders == {"influxdb", "collector", "rollup"}


def test_whoever_writes_or_reads_uses_the_bucket_that_influxdb_makes(stack: Stack) -> None:
    made = stack.services["influxdb"]["environment"]
    for name in ("collector", "rollup", "console"):
        command = stack.services[name]["command"]
        store = StoreURL.parse(command[command.index("--store") + 1])
        assert store.base_url == "http://influxdb:8086"
        assert store.bucket == made["DOCKER_INFLUXDB_INIT_BUCKET"] == "haina"
        assert store.org == made["DOCKER_INFLUXDB_INIT_ORG"] == "haina"


# Grafana


def provisioned(path: str) -> Any:
    return yaml.safe_load((ROOT / "deploy/grafana" / path).read_text())


def test_grafana_asks_the_same_data_source_as_pushed_dashboards_do(stack: Stack) -> None:
    [source] = provisioned("datasources/haina.yaml")["datasources"]
    assert source["uid"] == push.DATA_SOURCE_UID
    assert source["url"] == "http://influxdb:8086"
    assert source["jsonData"]["version"] == "InfluxQL"
    assert source["jsonData"]["dbName"] == stack.services["influxdb"]["environment"]["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert (source["basicAuth"], source["basicAuthUser"]) == (True, "reader")
    assert source["secureJsonData"] == {"basicAuthPassword": "$HAINA_INFLUX_READER_PASSWORD"}
    assert "HAINA_INFLUX_READER_PASSWORD" in stack.services["grafana"]["environment"]


def test_grafana_shows_each_language_in_a_folder_of_its_own(stack: Stack) -> None:
    mounted = {target: ROOT / source for source, target, _ in mounts(stack.services["grafana"])}
    providers = provisioned("dashboards/haina.yaml")["providers"]
    assert {provider["folder"] for provider in providers} == {"Haina Town", "海纳小镇"}
    assert len({provider["folderUid"] for provider in providers}) == len(providers)
    folders = {mounted[provider["options"]["path"]] for provider in providers}
    assert folders == {ROOT / "dashboards/grafana" / language for language in LANGUAGES}
    for folder in folders:
        assert list(folder.glob("*.json"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_thing_grafana_shows_is_the_town(tmp_path: Path, language: str) -> None:
    grafana = Stack(tmp_path, HAINA_LANGUAGE=language).services["grafana"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    [file] = [
        ROOT / source / Path(home).name for source, target, _ in mounts(grafana) if str(Path(home).parent) == target
    ]
    assert yaml.safe_load(file.read_text())["uid"] == f"haina-town-{language}"
    assert "HAINA_LANGUAGE" in variables()


def test_the_map_comes_from_grafana_itself(stack: Stack) -> None:
    """The dashboards name files below Grafana's `public` folder; they are mounted just there."""
    targets = {target: ROOT / source for source, target, _ in mounts(stack.services["grafana"])}
    assert targets[f"/usr/share/grafana/{render.ZONE_FILE}"] == ROOT / "haina/zone.geojson"
    assert targets[f"/usr/share/grafana/{render.PLACES_FILE}"] == ROOT / "dashboards/grafana/map/haina-areas.json"
    base = yaml.safe_load(stack.services["grafana"]["environment"]["GF_GEOMAP_DEFAULT_BASELAYER_CONFIG"])
    assert base == {"type": "geojson", "config": {"src": render.ZONE_FILE}}


def test_grafana_lets_nobody_in_unnamed_and_asks_nobody_outside(stack: Stack) -> None:
    environment = stack.services["grafana"]["environment"]
    off = (
        "GF_AUTH_ANONYMOUS_ENABLED",
        "GF_USERS_ALLOW_SIGN_UP",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_NEWS_NEWS_FEED_ENABLED",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED",
    )
    assert {name: environment[name] for name in off} == dict.fromkeys(off, "false")
    on = (
        "GF_SECURITY_DISABLE_GRAVATAR",
        "GF_PLUGINS_PREINSTALL_DISABLED",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED",
    )
    assert {name: environment[name] for name in on} == dict.fromkeys(on, "true")
    assert environment["GF_SECURITY_SECRET_KEY"] == stack.secrets["HAINA_GRAFANA_SECRET_KEY"]
