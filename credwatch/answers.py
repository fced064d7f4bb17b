"""What a receiver's answer to an OTLP request says: that it has it, how much of it, or that it is no receiver at all.

A load balancer's page and a captive portal answer 200 as well. Pure: bytes in, a judgement out; imported only where
something is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

NOT_OTLP = 406
"""The status that stands for an answer which is none: exporters take it for a failure and do not ask again at once."""


def rejected(kind: str, body: bytes) -> int | None:
    """Return how many points or spans an answer of success rejects; None where it is no answer of OTLP.

    An empty body is one, whatever its type: the encoding of "nothing was rejected". JSON is taken from a receiver that
    answers so though it was asked in protobuf.
    """
    if not body:
        return 0
    kind = kind.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-protobuf":
            return _of_protobuf(body)
        return _of_json(body) if kind == "application/json" else None
    except Exception:  # noqa: BLE001 - whatever a parser makes of it, it is no answer
        return None


def _of_protobuf(body: bytes) -> int:
    # that of spans is laid out alike
    return int(ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points)


def _of_json(body: bytes) -> int | None:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        return None
    partial = answer.get("partialSuccess") or {}
    return int(partial.get("rejectedDataPoints") or partial.get("rejectedSpans") or 0)


def judge(tell: Callable[[str], object]) -> Callable[..., Any]:
    """Return a hook for the answers of a `requests.Session`: it makes a failure of what is no answer of OTLP."""

    def hook(response: Any, **_: object) -> Any:
        # a redirect too: exporters take it for success, and some of them follow it with our headers
        if 200 <= (status := response.status_code) < 400:
            count = rejected(response.headers.get("Content-Type", ""), response.content) if status < 300 else None
            if count is None:
                response.status_code = NOT_OTLP
                tell("what answers at the configured endpoint is no OTLP receiver; counts are kept and sent again")
            else:
                refused(count, tell)
        return response

    return hook


def refused(count: int, tell: Callable[[str], object]) -> None:
    """Say that a receiver took a request but for a part of it, which OTLP forbids to send again."""
    if count:
        tell("the receiver rejected a part of what it was sent; its own log says why")
