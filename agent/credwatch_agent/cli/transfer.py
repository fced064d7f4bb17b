"""`credwatch-agent export` and `import`: all that a store holds, from one store to another.

A file of JSON lines, `{"batch": …}` for each process, `{"span": …}` for each span and `{"kept": …}` for each
history of findings, in the stores' own canonical texts. Importing is putting: what is there already is merged by
the truth rule, twice changes nothing. Of two different histories none is the truth: the store's own stays, and
that is said.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from credwatch_agent.cli.console import err, say
from credwatch_agent.cli.failure import CLEAN, UsageError
from credwatch_agent.cli.progress import Quiet, working
from credwatch_agent.cli.stored import Db
from credwatch_agent.exports.layout import visible
from credwatch_agent.findings.words import count
from credwatch_agent.records import Batch, Health, Span, UsagePoint
from credwatch_agent.store import Store, texts
from credwatch_agent.store.location import open_store

_SPANS = 1_000


def export(db: Db, quiet: Quiet = False) -> int:
    """Write all that a store holds, as JSON lines."""
    # where the lines themselves are on the terminal, they show how it goes
    quiet = quiet or sys.stdout.isatty()
    with working("exporting", quiet=quiet) as tell, closing(open_store(db, read_only=True)) as store:
        for number, batch in enumerate(store.batches()):
            tell("exporting processes:", number, None)
            sys.stdout.write(_line("batch", _from_batch(batch)))
        for number, span in enumerate(store.spans()):
            tell("exporting spans:", number, None)
            sys.stdout.write(_line("span", texts.from_span(span)))
        for name in store.kept_names():
            sys.stdout.write(_line("kept", [name, store.kept(name)]))
    return CLEAN


def import_(
    db: Db,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File that `export` wrote.", exists=True, dir_okay=False)
    ],
    quiet: Quiet = False,
) -> int:
    """Put what `export` wrote into a store.

    What the store holds already is kept.
    """
    with (
        working("importing", quiet=quiet) as tell,
        closing(open_store(db)) as store,
        file.open(encoding="utf-8") as lines,
    ):
        spans: list[Span] = []
        processes = 0
        for number, line in enumerate(lines, 1):
            tell("importing lines:", number, None)
            record = _read(line, f"`{file}`, line {number}")
            if isinstance(record, Span):
                spans.append(record)
            elif isinstance(record, _Kept):
                _keep(store, record)
            else:
                store.put([record])
                processes += 1
            if len(spans) >= _SPANS:
                store.put_spans(spans)
                spans.clear()
        store.put_spans(spans)
    say(f"imported {count(processes, 'process')}", console=err)
    return CLEAN


class _Kept(NamedTuple):
    name: str
    text: str


def _keep(store: Store, record: _Kept) -> None:
    """Put a kept text where there is none yet."""
    if store.amend(record.name, lambda text: text or record.text) != record.text:
        say(f"left out `{record.name}`: the store has a history of its own, which stays", console=err)


def _read(line: str, where: str) -> Batch | Span | _Kept:
    try:
        ((kind, value),) = json.loads(line).items()
        if kind == "kept":
            return _Kept(*map(_text, value))
        return texts.to_span(value) if kind == "span" else _to_batch(*value)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{where} is not one that `credwatch-agent export` wrote: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{value}` is no text")
    return value


def _line(kind: str, value: object) -> str:
    return visible(json.dumps({kind: value})) + "\n"


def _from_batch(batch: Batch) -> list[object]:
    return [
        dict(batch.resource),
        [[p.process_id, texts.from_usage(p.usage), p.value, p.start_ns, p.time_ns, p.exact] for p in batch.usage],
        [[k.process_id, texts.from_key(k), k.value, k.first_ns, k.last_ns] for k in batch.keys],
        [[h.process_id, h.metric, h.value, h.start_ns, h.time_ns] for h in batch.health],
        batch.claimed,
        list(batch.folded),
    ]


def _to_batch(
    resource: dict[str, str],
    usage: list[list[Any]],
    keys: list[list[Any]],
    health: list[list[Any]],
    claimed: bool = False,
    folded: Sequence[str] = (),
) -> Batch:
    return Batch(
        resource,
        tuple(UsagePoint(process, texts.to_usage(text), *rest) for process, text, *rest in usage),
        tuple(texts.to_key(*key) for key in keys),
        tuple(Health(*point) for point in health),
        claimed,
        tuple(folded),
    )
