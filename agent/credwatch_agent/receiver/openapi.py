"""What the OTLP/HTTP edge takes and answers, as paths of an OpenAPI document. Data; what `http` does, tests hold to it.

OTLP's messages are described as far as this agent looks at them from outside; the rest is OTLP's own definition:
https://github.com/open-telemetry/opentelemetry-proto
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": _TEXT},
    "additionalProperties": False,
}
_BYTES: Schema = {"type": "string", "format": "binary"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _message(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields}


_ATTRIBUTES = _list(_message(key=_TEXT, value=_message(stringValue=_TEXT, boolValue={"type": "boolean"})))
_NANOSECONDS: Schema = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_POINT = _message(
    attributes=_ATTRIBUTES,
    startTimeUnixNano=_NANOSECONDS,
    timeUnixNano=_NANOSECONDS,
    asInt={"type": "string", "pattern": "^[0-9]{1,18}$"},
)
_SUM = _message(dataPoints=_list(_POINT), aggregationTemporality={"enum": [0, 1, 2]}, isMonotonic={"type": "boolean"})
_METRIC = _message(name=_TEXT, unit=_TEXT, sum=_SUM)
_SPAN = _message(
    traceId={"type": "string", "pattern": "^[0-9a-f]{32}$"},
    spanId={"type": "string", "pattern": "^[0-9a-f]{16}$"},
    name=_TEXT,
    startTimeUnixNano=_NANOSECONDS,
    endTimeUnixNano=_NANOSECONDS,
    attributes=_ATTRIBUTES,
)
_RESOURCE = _message(attributes=_ATTRIBUTES)
_METRICS = _message(
    resourceMetrics=_list(_message(resource=_RESOURCE, scopeMetrics=_list(_message(metrics=_list(_METRIC)))))
)
_TRACES = _message(resourceSpans=_list(_message(resource=_RESOURCE, scopeSpans=_list(_message(spans=_list(_SPAN))))))

_PROCESS: Schema = {
    "type": "object",
    "required": ["process_id", "folded"],
    "properties": {
        "process_id": _TEXT,
        "folded": {"type": "boolean"},
        "first_ns": _COUNT,
        "last_ns": _COUNT,
        "calls": _COUNT,
        "closed": {"type": "boolean"},
        "claimed": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_PROCESSES: Schema = {
    "type": "object",
    "required": ["version", "processes"],
    "properties": {"version": {"const": 1}, "processes": _list(_PROCESS)},
    "additionalProperties": False,
}

_REFUSED = {
    "400": "the request cannot be read",
    "401": "a token is needed",
    "403": "the token may not do this",
    "405": "another method is needed",
    "413": "the body is too large: send smaller batches",
    "415": "another content type or encoding is needed",
    "503": "try again: too much at once, or the store cannot be used now",
}


def _answered(description: str, schema: Schema, *media_types: str) -> dict[str, Any]:
    return {"description": description, "content": {name: {"schema": schema} for name in media_types}}


def _refused(*statuses: str, **more: str) -> dict[str, Any]:
    sentences = {status: _REFUSED[status] for status in statuses} | more
    # in the form of the request, in JSON where it has neither
    return {
        status: {
            "description": sentence,
            "content": {"application/json": {"schema": _STATUS}, "application/x-protobuf": {"schema": _BYTES}},
        }
        for status, sentence in sentences.items()
    }


def _export(operation: str, summary: str, request: Schema, rejected: str) -> dict[str, Any]:
    partial = _message(**{rejected: _NANOSECONDS, "errorMessage": _TEXT})
    answer = {**_message(partialSuccess=partial), "additionalProperties": False}
    taken = _answered("taken, but for what `partialSuccess` tells", answer, "application/json")
    taken["content"]["application/x-protobuf"] = {"schema": _BYTES}
    body = {"application/json": {"schema": request}, "application/x-protobuf": {"schema": _BYTES}}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": taken, **_refused("400", "401", "403", "405", "413", "415", "503")},
    }


def _asked(operation: str, summary: str, answer: dict[str, Any], *statuses: str, **more: Any) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": answer, **_refused("405", *statuses)},
        **more,
    }


def _by(name: str, meaning: str) -> Schema:
    return {"name": name, "in": "query", "description": meaning, "schema": _TEXT}


PATHS: dict[str, Any] = {
    "/v1/metrics": {"post": _export("metrics", "OTLP: usage, keys and health", _METRICS, "rejectedDataPoints")},
    "/v1/traces": {"post": _export("traces", "OTLP: spans", _TRACES, "rejectedSpans")},
    "/v1/logs": {
        "post": {
            "operationId": "logs",
            "summary": "OTLP: logs, which no agent takes",
            "responses": _refused("405", **{"404": "this agent takes no logs"}),
        }
    },
    "/v1/processes": {
        "get": _asked(
            "processes",
            "Whether a process was seen; one of the two is given",
            _answered("the processes, the latest to report first", _PROCESSES, "application/json"),
            "400", "401", "403", "503",
            parameters=[
                _by("id", "the process's `credwatch.process.id`"),
                _by("fingerprint", "the process's `credwatch.process.fingerprint`"),
            ],
        )
    },
    "/healthz": {"get": _asked("healthz", "It runs", _answered("it does", _TEXT, "text/plain"), security=[])},
    "/readyz": {
        "get": _asked(
            "readyz", "Its store can be written", _answered("it can", _TEXT, "text/plain"), "503", security=[]
        )
    },
    "/metrics": {
        "get": _asked(
            "own_metrics", "The agent's own metrics, as Prometheus text",
            _answered("the metrics", _TEXT, "text/plain"), "401", "403",
        )
    },
}  # fmt: skip
"""Every path of `http.create_app`, by its address."""
