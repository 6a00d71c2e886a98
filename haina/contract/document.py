"""The contract in forms that others read, all from the declarations: JSON Schema, AsyncAPI 3, SQL, Markdown."""

from typing import Any

import msgspec

from haina import __version__
from haina.contract.catalogue import MEASUREMENTS, measurement
from haina.contract.measurement import Field, Measurement
from haina.contract.message import (
    MAX_PAYLOAD_BYTES,
    Clock,
    Command,
    Meta,
    Reply,
    Status,
    Watermark,
)
from haina.contract.table import create_table
from haina.contract.topic import CLOCK_TOPIC, PREFIX, TopicClass

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_MESSAGES: dict[str, tuple[type[msgspec.Struct], str]] = {
    "status": (Status, "connection"),
    "meta": (Meta, "info"),
    "command": (Command, "{name}"),
    "reply": (Reply, "{name}"),
    "watermark": (Watermark, "durable"),
}
_SENDS = {  # who says it; AsyncAPI's operations are written from the simulator's side
    "telemetry": "send",
    "status": "send",
    "meta": "send",
    "command": "receive",
    "reply": "send",
    "watermark": "receive",
    "clock": "send",
}


def json_schema(name: str | None = None) -> dict[str, Any]:
    """JSON Schema (2020-12) of one measurement's payload, or of all of them by name. Raises KeyError."""
    if name is not None:
        return {"$schema": JSON_SCHEMA_DIALECT, "title": name, **_payload_schema(measurement(name))}
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "$defs": {declared.name: _payload_schema(declared) for declared in MEASUREMENTS.values()},
    }


def _payload_schema(declared: Measurement) -> dict[str, Any]:
    values = {
        "type": "object",
        "properties": {field.name: _field_schema(field) for field in declared.fields},
        "required": [field.name for field in declared.fields if field.required],
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {
        "type": "object",
        "description": declared.sentence,
        "properties": {
            "time": {"type": "integer", "minimum": 0, "description": "Event time, ms since 1970-01-01T00:00Z."},
            "boot": {"type": "integer", "minimum": 0, "description": "Which life of the run; comes from the run."},
            "seq": {"type": "integer", "minimum": 1, "description": "Counts the device's readings of this boot."},
            "values": values,
        },
        "required": ["time", "boot", "seq", "values"],
        "additionalProperties": False,
    }


def _field_schema(field: Field) -> dict[str, Any]:
    json_type = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}[field.type]
    schema: dict[str, Any] = {"type": json_type if field.required else [json_type, "null"]}
    schema["description"] = field.sentence
    if field.unit != "1":
        schema["unit"] = field.unit
    if field.choices:
        schema["enum"] = [*field.choices, *([] if field.required else [None])]
    elif field.type in {"int", "float"}:
        low, high = field.limits() if field.type == "int" else (field.low, field.high)
        schema |= {key: limit for key, limit in (("minimum", low), ("maximum", high)) if limit is not None}
    return schema


def asyncapi() -> dict[str, Any]:
    """Build the AsyncAPI 3.0 document of the contract, from the simulated devices' side."""
    parameters = {
        "area": {"description": "A neighbourhood committee's ground; also the unit of partitioning."},
        "site": {"description": "A centre, a home, a station: whatever has one gateway."},
        "device": {"description": "A device of the site; `gateway` stands for the site itself."},
    }
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}

    def add(channel: str, address: str, message_names: list[str], *, named: bool, retained: bool) -> None:
        used = {name: value for name, value in parameters.items() if f"{{{name}}}" in address}
        if named:
            used["name"] = {"description": "The command."}
        channels[channel] = {
            "address": address,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in message_names},
            **({"parameters": used} if used else {}),
            "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
        }
        action = _SENDS[channel.partition("_")[0]]
        operations[f"{action}_{channel}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
        }

    for declared in MEASUREMENTS.values():
        messages[declared.name] = {
            "summary": declared.sentence,
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{declared.name}"},
        }
        address = f"{PREFIX}/{TopicClass.TELEMETRY}/{{area}}/{{site}}/{{device}}/{declared.name}"
        add(f"telemetry_{declared.name}", address, [declared.name], named=False, retained=False)
    (_, definitions) = msgspec.json.schema_components(
        [struct for struct, _ in _MESSAGES.values()] + [Clock], ref_template="#/components/schemas/{name}"
    )
    for name, (struct, level) in _MESSAGES.items():
        messages[name] = _message(struct)
        address = f"{PREFIX}/{name}/{{area}}/{{site}}/{{device}}/{level}"
        add(name, address, [name], named="{name}" in level, retained=TopicClass(name).retained)
    messages["clock"] = _message(Clock)
    add("clock", CLOCK_TOPIC, ["clock"], named=False, retained=True)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Haina",
            "version": __version__,
            "description": "What a simulated town says over MQTT 3.1.1, and what it listens to. "
            f"Payloads are UTF-8 JSON of at most {MAX_PAYLOAD_BYTES} bytes.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": {
                **{declared.name: _payload_schema(declared) for declared in MEASUREMENTS.values()},
                **definitions,
            },
        },
    }


def _message(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "summary": _sentence(struct),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
    }


def _sentence(struct: type) -> str:
    return (struct.__doc__ or "").split("\n", maxsplit=1)[0]


def markdown() -> str:
    """Every measurement with its fields, as Markdown tables."""
    parts = ["# Measurements\n"]
    for declared in MEASUREMENTS.values():
        parts.append(f"## `{declared.name}`\n\n{declared.sentence} Sent by: {declared.kind}.\n")
        parts.append("| field | type | unit | may be | required | what it says |\n|---|---|---|---|---|---|")
        for field in declared.fields:
            unit = "" if field.unit == "1" else field.unit
            required = "yes" if field.required else "no"
            parts.append(
                f"| `{field.name}` | {field.type} | {unit} | {_may_be(field)} | {required} | {field.sentence} |"
            )
        parts.append("")
    return "\n".join(parts)


def _may_be(field: Field) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.states:
        return ", ".join(f"{number} {state}" for number, state in field.states.items())
    if field.low is None and field.high is None:
        return "true, false" if field.type == "bool" else ""
    return f"{field.low:,g} … {field.high:,g}"


def topics_markdown() -> str:
    """The topic classes with their payloads, as a Markdown table."""
    rows = [
        "# Topics\n",
        "| topic | retained | payload |",
        "|---|---|---|",
        f"| `{PREFIX}/telemetry/{{area}}/{{site}}/{{device}}/{{measurement}}` | no | a reading of a measurement |",
    ]
    for name, (struct, level) in _MESSAGES.items():
        retained = "yes" if TopicClass(name).retained else "no"
        rows.append(f"| `{PREFIX}/{name}/{{area}}/{{site}}/{{device}}/{level}` | {retained} | {_sentence(struct)} |")
    rows.append(f"| `{CLOCK_TOPIC}` | yes | {_sentence(Clock)} |")
    rows.append(f"| `{PREFIX}/alarm/…`, `{PREFIX}/index/…` | yes | reserved for alarm rules and the index |")
    return "\n".join(rows) + "\n"


def sql_tables() -> str:
    """The tables that a relational store keeps the measurements in, as SQL."""
    return "\n".join(f"{create_table(declared)};" for declared in MEASUREMENTS.values())
