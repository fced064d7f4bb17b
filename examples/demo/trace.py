"""One trace as a tree, as a trace backend would show it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.tree import Tree

from credwatch_agent.records import Span

_FIRST = ("credwatch.credential.source", "credwatch.principal.arn", "credwatch.principal.name", "credwatch.outcome")
_LEFT_OUT = frozenset({"credwatch.service", "credwatch.operation", "credwatch.iam.mapping.version"})


def tree(spans: Sequence[Span]) -> Tree:
    """Return the spans of one trace, children below their parents, each with its attributes."""
    root = Tree(f"trace {spans[0].trace_id}")
    known = {span.span_id for span in spans}
    for span in spans:
        if span.parent_span_id not in known:
            _add(root, span, spans)
    return root


def _add(parent: Tree, span: Span, spans: Sequence[Span]) -> None:
    took = (span.end_ns - span.start_ns) / 1e6
    node = parent.add(f"{span.resource.get('service.name', '?')}  {span.name}  {took:.1f} ms")
    names = [*(n for n in _FIRST if n in span.attributes), *sorted(span.attributes.keys() - set(_FIRST) - _LEFT_OUT)]
    for name in names:
        value = span.attributes[name]
        node.add(f"{name} = {', '.join(value) if isinstance(value, tuple) else value}")
    for child in spans:
        if child.parent_span_id == span.span_id:
            _add(node, child, spans)
