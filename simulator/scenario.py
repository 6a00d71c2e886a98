"""A scenario: which places a town has, and what its models are told, read from a YAML file.

A scenario counts: so many centres and so many homes in each area of the map. Places worth describing one by
one stand in `sites`. `parameters` overrides a model's defaults, each of which carries its unit and its source;
`boost` multiplies how often rare things happen, so that an hour can show what takes a month.

    title: Two neighbourhoods
    areas:
      a01: {centres: 3, homes: 60}
      a02: {centres: 3, homes: 60}

`load` takes the name of a shipped scenario or a path and returns a frozen `Scenario`. What is wrong with a file
is said all at once in `BadScenario`, one line for each fault: `file:line: key: what must be there (what is)`.
"""

import difflib
import functools
import operator
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, Field, Strict, ValidationError, create_model

from haina.zone import areas as zone_areas
from simulator.application import PlaceKind, Plan, applications, place_kinds
from simulator.parameter import Parameters

SUFFIX = ".yaml"
MAX_FILE_BYTES = 1_000_000
MAX_NODES = 100_000  # a small file of aliases to aliases could stand for more than memory holds

Key = tuple[str | int, ...]


class BadScenario(ValueError):
    """The file is no scenario; the message has one line for each fault, with file, line and key."""


def _on_the_map(area: str) -> str:
    known = [known.id for known in zone_areas()]
    if area not in known:
        raise ValueError(f"no such area on the map{_suggestion(area, known)}")
    return area


AreaId = Annotated[str, AfterValidator(_on_the_map)]
SiteId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=48)]


class AreaPlan(Plan):
    """How many places of each kind an area has, beside those described in `sites`."""

    def count(self, kind: PlaceKind) -> int:
        """How many of this kind."""
        number: int = getattr(self, kind.count)
        return number


class Described(Plan):
    """A place described by hand. What is left out is drawn as for any other."""

    kind: str
    id: SiteId = Field(description="A pseudonym, unique in the town.")
    area: AreaId = Field(description="The area of the map it stands in.")


class ModelParameters(Parameters):
    """What the models are told; whatever is left out keeps its default."""

    def of(self, application: str) -> Any:
        """The parameters of an application."""
        return getattr(self, application)


class Scenario(Plan):
    """A town to be built."""

    title: str = Field(min_length=1, max_length=120, description="One line that says what the scenario is for.")
    areas: dict[AreaId, AreaPlan] = Field(min_length=1, description="What each area of the map has.")
    sites: Annotated[tuple[Described, ...], Strict(False)] = Field(
        (), max_length=1_000, description="Places described by hand."
    )
    parameters: ModelParameters = ModelParameters()
    boost: float = Field(
        1.0,
        ge=1,
        le=10_000,
        description="How many times more often rare things befall homes: falls, illness, smoke, taps left open, false "
        "fall alarms and the like. The truth ledger says so for every home.",
    )
    name: str = Field("", max_length=200, description="The file's name without its ending; never written by hand.")


def _described(kind: PlaceKind) -> type[Plan]:
    name = f"{kind.kind.title().replace('-', '')}Site"
    bases: Any = (Described, kind.plan)
    fixed: Any = {"kind": (Literal[kind.kind], ...)}
    model: type[Plan] = create_model(name, __base__=bases, __doc__=Described.__doc__, **fixed)
    return model


_DESCRIBED = {kind.kind: _described(kind) for kind in place_kinds()}

if not TYPE_CHECKING:  # the applications add their keys; whoever reads the types sees those that are always there
    _COUNTS = {kind.count: (int, Field(0, ge=0, le=kind.most, description=kind.sentence)) for kind in place_kinds()}
    _SETS = {application.name: (application.parameters, application.parameters()) for application in applications()}
    AreaPlan = create_model("AreaPlan", __base__=AreaPlan, __doc__=AreaPlan.__doc__, **_COUNTS)
    ModelParameters = create_model(
        "ModelParameters", __base__=ModelParameters, __doc__=ModelParameters.__doc__, **_SETS
    )
    _SITE = Annotated[functools.reduce(operator.or_, _DESCRIBED.values()), Field(discriminator="kind")]
    Scenario = create_model(
        "Scenario",
        __base__=Scenario,
        __doc__=Scenario.__doc__,
        areas=(dict[AreaId, AreaPlan], Scenario.model_fields["areas"]),
        sites=(Annotated[tuple[_SITE, ...], Strict(False)], Scenario.model_fields["sites"]),
        parameters=(ModelParameters, ModelParameters()),
    )

_MODELS: dict[Key, type[BaseModel]] = {
    (): Scenario,
    ("areas", "*"): AreaPlan,
    **{("sites", "*", kind): model for kind, model in _DESCRIBED.items()},
    ("parameters",): ModelParameters,
    **{("parameters", each.name): each.parameters for each in applications()},
}


def shipped() -> list[str]:
    """The names of the scenarios that come with the simulator."""
    folder = resources.files("simulator") / "scenarios"
    return sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX))


def load(name_or_path: str | Path) -> Scenario:
    """The scenario shipped under this name, or the one in this file.

    Raises BadScenario with every fault found, and when there is no such name or file.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped():
        file = resources.files("simulator") / "scenarios" / f"{name_or_path}{SUFFIX}"
        return parse(file.read_text(encoding="utf-8"), file.name)
    if path.suffix not in {SUFFIX, ".yml"}:
        raise BadScenario(
            f"no scenario is called {str(name_or_path)!r}{_suggestion(str(name_or_path), shipped())}; "
            f"shipped are {', '.join(shipped())}, any other is given as a path that ends in {SUFFIX}"
        )
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadScenario(f"{path}: larger than {MAX_FILE_BYTES} bytes, which no scenario needs")
        text = path.read_text(encoding="utf-8")
    except OSError as wrong:
        raise BadScenario(f"{path}: {(wrong.strerror or str(wrong)).lower()}") from None
    except UnicodeDecodeError:
        raise BadScenario(f"{path}: is not UTF-8 text") from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Scenario:
    """The scenario in `text`; `file` is what errors call it. Raises BadScenario with every fault found."""
    node = _compose(text, file)
    lines: dict[Key, int] = {}
    faults: list[tuple[int, Key, str]] = []
    data = _construct(node, (), lines, faults)
    if not isinstance(data, dict):
        raise BadScenario(f"{file}:1: must be a mapping with at least `title` and `areas`")
    if "name" in data:
        faults.append((lines["name",], ("name",), "comes from the file's name; leave it out"))
    scenario = None
    try:
        scenario = Scenario.model_validate({**data, "name": Path(file).stem})
    except ValidationError as invalid:
        for error in invalid.errors():
            key = _key(error["loc"])
            faults.append((_line(key, lines), key, _sentence(error)))
    faults.extend((_line(key, lines), key, sentence) for key, sentence in _taken_ids(data))
    if faults or scenario is None:
        faults.sort(key=lambda fault: (fault[0], str(fault[1])))
        raise BadScenario("\n".join(f"{file}:{line}: {_path(key)}: {sentence}" for line, key, sentence in faults))
    return scenario


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario; each parameter carries its default, unit, source and limits."""
    schema = Scenario.model_json_schema()
    del schema["properties"]["name"]  # comes from the file's name
    return schema


def parameters_markdown() -> str:
    """Every parameter of every model as Markdown tables: default, unit, what it is, and where it comes from."""
    parts = []
    for application in applications():
        rows = [
            f"### `{application.name}`\n",
            "| parameter | default | unit | what it is | source |",
            "|---|---|---|---|---|",
        ]
        for name, field in application.parameters.model_fields.items():
            extra: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
            unit = "" if extra["unit"] == "1" else extra["unit"]
            cells = (f"`{name}`", _default(field.default), unit, field.description or "", extra["source"])
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _default(value: Any) -> str:
    return ", ".join(f"{item:g}" for item in value) if isinstance(value, tuple) else f"{value:g}"


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise BadScenario(f"{file}:{line}: is not YAML: {wrong.problem or wrong.context}") from None
    except yaml.YAMLError as wrong:
        raise BadScenario(f"{file}:1: is not YAML: {wrong}") from None


def _construct(node: yaml.Node | None, key: Key, lines: dict[Key, int], faults: list[tuple[int, Key, str]]) -> Any:
    """What the node stands for, noting the line of each key on the way."""
    if node is None:
        return None
    lines.setdefault(key, node.start_mark.line + 1)
    if len(lines) > MAX_NODES:
        if not any(not where for _, where, _ in faults):
            faults.append((1, (), f"more than {MAX_NODES} values, which no scenario needs"))
        return None
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            name = _scalar(key_node)
            inner = (*key, name)
            line = key_node.start_mark.line + 1
            if name in mapping:
                faults.append((line, inner, f"stands here twice; it was given in line {lines[inner]} already"))
                continue
            lines[inner] = line
            mapping[name] = _construct(value_node, inner, lines, faults)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*key, number), lines, faults) for number, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return "a list or mapping as a key"
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError):
        return str(node.value)


def _taken_ids(data: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    """Ids that two of the described sites share; the numbered ones (`c01`, `h0001`) are the plan's own."""
    sites = data.get("sites")
    seen: set[str] = set()
    for number, site in enumerate(sites if isinstance(sites, list) else ()):
        site_id = site.get("id") if isinstance(site, dict) else None
        if not isinstance(site_id, str):
            continue
        if site_id in seen:
            yield ("sites", number, "id"), f"{site_id!r} is taken; each site needs an id of its own"
        if site_id[:1].isalpha() and site_id[1:].isdigit():  # whatever the letter: an application to come may use it
            yield ("sites", number, "id"), f"{site_id!r} looks like a numbered site; choose a word, such as town-hall"
        seen.add(site_id)


def _key(loc: tuple[str | int, ...]) -> Key:
    """The place in the file: pydantic's location without the tag of the union and the mark of a key."""
    return tuple(
        part
        for number, part in enumerate(loc)
        if part != "[key]" and not (number == 2 and loc[0] == "sites" and part in _DESCRIBED)
    )


def _line(key: Key, lines: Mapping[Key, int]) -> int:
    """The line of a key, or of what encloses it when it is missing."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _path(key: Key) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".") or "scenario"


def _sentence(error: Any) -> str:
    """What must be there, in our words, from pydantic's error."""
    context, kind = error.get("ctx", {}), error["type"]
    got = f"(got {_short(error['input'])})"
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            known = _known_keys(error["loc"][:-1])
            return f"unknown key{_suggestion(str(error['loc'][-1]), known) or _list(known)}"
        case "greater_than_equal":
            return f"must be {context['ge']:g} or more {got}"
        case "greater_than":
            return f"must be more than {context['gt']:g} {got}"
        case "less_than_equal":
            return f"must be {context['le']:g} or less {got}"
        case "less_than":
            return f"must be less than {context['lt']:g} {got}"
        case "int_type" | "int_from_float":
            return f"must be a whole number {got}"
        case "float_type" | "finite_number":
            return f"must be a number {got}"
        case "string_type":
            return f"must be text {got}"
        case "literal_error":
            return f"must be {context['expected']} {got}"
        case "union_tag_invalid":
            return f"kind must be one of {context['expected_tags']} (got {context['tag']!r})"
        case "union_tag_not_found":
            return f"kind is missing; it is one of {', '.join(map(repr, sorted(_DESCRIBED)))}"
        case "string_pattern_mismatch":
            return f"must be lower-case letters, digits, '_', '.' and '-' {got}"
        case "model_type" | "dict_type":
            return f"must be a mapping {got}"
        case "tuple_type":
            return f"must be a list {got}"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]} {got}"


def _known_keys(loc: Key) -> list[str]:
    for pattern, model in _MODELS.items():
        if len(pattern) == len(loc) and all(want in {"*", have} for want, have in zip(pattern, loc, strict=True)):
            return [name for name in model.model_fields if name != "name"]
    return []


def _suggestion(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _list(known: list[str]) -> str:
    return f"; known are {', '.join(known)}" if len(known) <= 8 else "; `haina scenario schema` lists what is known"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
