"""From a trace to its address in a tracing backend: a template, filled in. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from credwatch.semconv import REGION
from credwatch_agent.records import Span

BACKENDS = {
    "jaeger": "https://HOST/trace/{trace_id}",
    "tempo": (
        'https://HOST/explore?schemaVersion=1&panes={{"t":{{"datasource":"tempo","queries":'
        '[{{"refId":"A","queryType":"traceql","query":"{trace_id}"}}]}}}}'
    ),
    "xray": "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#xray:traces/{xray_id}",
    "datadog": "https://app.datadoghq.com/apm/trace/{trace_id}",
}
"""Templates to begin with, by backend; `{{` is a brace."""

FIELDS = ("trace_id", "span_id", "xray_id", "datadog_id", "region")
_FIELD = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")


class BadTemplate(ValueError):
    """The text is no template; it says why."""


def parse(template: str) -> str:
    """Return a template as it came; raises `BadTemplate` where it cannot be filled in or is no web address."""
    if not re.match(r"https?://[^\s/]", template):
        raise BadTemplate("is no web address: begin with https:// or http://")
    named = [found for found in _FIELD.finditer(template) if found[0] not in {"{{", "}}"}]
    wrong = [found[0] for found in named if found[1] not in FIELDS]
    if wrong:
        raise BadTemplate(f"holds `{wrong[0]}`, which is none of {', '.join('{' + name + '}' for name in FIELDS)}")
    if not any(found[1] in {"trace_id", "xray_id", "datadog_id"} for found in named):
        raise BadTemplate("names no trace: put {trace_id} where it belongs")
    return template


def fill(template: str, span: Span) -> str:
    """Return the address of a span's trace."""
    trace = span.trace_id
    values = {
        "trace_id": trace,
        "span_id": span.span_id,
        # X-Ray's ids begin with the time: https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html
        "xray_id": f"1-{trace[:8]}-{trace[8:]}",
        # Datadog's older ids are the lower 64 bits as a decimal number
        "datadog_id": str(int(trace[16:] or "0", 16)) if re.fullmatch(r"[0-9a-f]{32}", trace) else "",
        "region": str(span.attributes.get(REGION, "")),
    }

    def value(found: re.Match[str]) -> str:
        return {"{{": "{", "}}": "}"}.get(found[0]) or quote(values[found[1]], safe="", errors="replace")

    return _FIELD.sub(value, template)
