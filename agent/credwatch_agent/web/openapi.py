"""The API's description, made from what the views take and answer: it cannot differ from the code. Pure."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from credwatch_agent import __version__
from credwatch_agent.web.asking import MAX_NUMBER, MAX_TEXT, Parameter

VERSION = "3.1.0"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def describe(
    views: Sequence[tuple[str, str, Sequence[Parameter], type]], others: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the document for views, each its path, a summary, its parameters, and the type of its answer.

    `others` are the paths, described, that are served beside them.
    """
    schemas: dict[str, Any] = {
        "Problem": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    }
    return {
        "openapi": VERSION,
        "info": {
            "title": "credwatch-agent",
            "version": __version__,
            "description": (
                "What the page shows, as JSON, below /api: read-only, times as ISO 8601 in UTC, empty if not known. "
                "Beside it OTLP/HTTP and the agent's health."
            ),
        },
        "paths": {
            path: {"get": _operation(path, summary, parameters, answer, schemas)}
            for path, summary, parameters, answer in views
        }
        | dict(others or {}),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(
    path: str, summary: str, parameters: Sequence[Parameter], answer: type, schemas: dict[str, Any]
) -> dict[str, Any]:
    problem = {"content": _json({"$ref": "#/components/schemas/Problem"})}
    return {
        "operationId": path.rpartition("/")[2],
        "summary": summary,
        "parameters": [_parameter(each) for each in parameters],
        "responses": {
            "200": {"description": "the answer", "content": _json(_schema(answer, schemas))},
            "400": {"description": "a parameter is wrong", **problem},
            "401": {"description": "a token is needed", **problem},
            "403": {"description": "the token may not read this", **problem},
            "404": {"description": "there is no such thing", **problem},
            "405": {"description": "another method is needed", **problem},
            "421": {"description": "without tokens, only a loopback name is answered", **problem},
            "503": {"description": "store or snapshot cannot be read now", **problem},
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "maxLength": MAX_TEXT}
    if one.number:
        schema = {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
    elif one.choices:
        # forms of browsers send what was left empty: it is as if it was not given
        schema = {"type": "string", "enum": list(dict.fromkeys((*one.choices, "")))}
    elif one.required:
        schema["minLength"] = 1
    if one.default:
        schema["default"] = int(one.default) if one.number else one.default
    return {"name": one.name, "in": "query", "required": one.required, "description": one.meaning, "schema": schema}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if is_dataclass(kind) and isinstance(kind, type):
        return {"$ref": f"#/components/schemas/{_record(kind, schemas)}"}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], schemas)}
    if get_origin(kind) in {Union, types.UnionType}:
        return {"anyOf": [_schema(each, schemas) for each in get_args(kind) if each is not type(None)] + [_NULL]}
    raise TypeError(f"an answer cannot hold {kind}")


_NULL = {"type": "null"}


def _record(kind: type, schemas: dict[str, Any]) -> str:
    """Describe a record once, under a name that is its own: modules may have records of the same name."""
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"
    if name not in schemas:
        schemas[name] = {}  # taken, in case it holds itself
        hints = get_type_hints(kind)
        properties = {each.name: _schema(hints[each.name], schemas) for each in fields(kind)}
        schemas[name] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "required": list(properties),
            "properties": properties,
            "additionalProperties": False,
        }
    return name
