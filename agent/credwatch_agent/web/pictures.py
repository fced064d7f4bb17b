"""Pictures as numbers: where each node and link of the flow lies, where each cell of the map. Pure geometry.

The templates write them as SVG. No colour is decided here; each state also has a shape of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from credwatch_agent.web.parts import States
from credwatch_agent.web.workloads import Stream

# --- the map: a cell for each action ----------------------------------------------------------------

_ORDER = ("used", "insufficient", "unobservable", "unused")


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one state: a path of one line a row; dashes of `pitch` make cells of it."""

    state: str
    path: str


@dataclass(frozen=True, slots=True)
class Area:
    """A block of cells, `cell` wide and high, one each `pitch`."""

    width: float
    height: float
    cell: float
    pitch: float
    states: tuple[Cells, ...]


def area(states: States, widest: int = 34, pitch: float = 11) -> Area:
    """Return the block of a service's actions, by state; where there are many, in smaller cells."""
    total = states.total
    if total > 400:
        pitch, widest = pitch * 0.55, round(widest / 0.55)
    columns = max(1, min(widest, total, max(6, math.ceil(math.sqrt(total * 2.2)))))
    cells, at = [], 0
    for state in _ORDER:
        count = getattr(states, state)
        if count:
            path = "".join(_rows(at, at + count, columns, pitch))
            cells.append(Cells(state, path))
        at += count
    rows = max(1, math.ceil(total / columns))
    gap = pitch * 0.2
    return Area(_round(columns * pitch - gap), _round(rows * pitch - gap), _round(pitch - gap), pitch, tuple(cells))


def _rows(begin: int, end: int, columns: int, pitch: float) -> Iterator[str]:
    while begin < end:
        row, column = divmod(begin, columns)
        count = min(end - begin, columns - column)
        y, x = row * pitch + pitch * 0.4, column * pitch
        yield f"M{_round(x)} {_round(y)}h{_round(count * pitch - pitch * 0.2)}"
        begin += count


def _round(value: float) -> float:
    rounded = round(value, 2)
    return int(rounded) if rounded == int(rounded) else rounded


# --- the flow: workload -> source -> role -> service ------------------------------------------------

_COLUMNS = (0.0, 330.0, 600.0, 900.0)
_WIDTH = 1180
_BAR = 6
_LEAST = 20.0
_GAP = 10.0
_TOP = 30.0
_LETTERS = 34

WORKLOAD, SOURCE, ROLE, SERVICE = range(4)


@dataclass(frozen=True, slots=True)
class Node:
    """A bar with a label; `key` is what it stands for, `title` its whole name."""

    column: int
    key: str
    label: str
    title: str
    x: float
    y: float
    height: float
    wrong: bool
    calls: int


@dataclass(frozen=True, slots=True)
class Link:
    """A band between two nodes: an SVG path, to be stroked `width` wide."""

    path: str
    width: float
    title: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """The whole picture."""

    width: int
    height: float
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


_Place = tuple[int, str]


def flow(streams: Sequence[Stream]) -> Flow:
    """Return the picture of streams; workloads keep the order in which they come."""
    bands = _bands(streams)
    heights = _heights(streams, bands)
    tops = _tops(heights, bands)
    tallest = max((tops[place] + heights[place] for place in heights), default=_TOP)
    wrong = {place for one, other, is_wrong in bands for place in (one, other) if is_wrong}
    labels = _labels(streams)
    totals = _totals(streams)
    nodes = tuple(
        Node(
            column=place[0],
            key=place[1],
            label=_short(labels[place]),
            title=labels[place],
            x=_COLUMNS[place[0]],
            y=_round(tops[place]),
            height=_round(height),
            wrong=place in wrong and place[0] in {WORKLOAD, SOURCE},
            calls=totals[place],
        )
        for place, height in heights.items()
    )
    return Flow(_WIDTH, _round(tallest + 8), nodes, tuple(_links(bands, tops, heights, labels)))


def _path(stream: Stream) -> tuple[_Place, ...]:
    return (
        (WORKLOAD, stream.workload),
        (SOURCE, stream.source),
        (ROLE, stream.role),
        (SERVICE, stream.service),
    )


def _labels(streams: Iterable[Stream]) -> dict[_Place, str]:
    found: dict[_Place, str] = {}
    for stream in streams:
        for place in _path(stream):
            found[place] = place[1]
        found[ROLE, stream.role] = stream.role_name or "(not known)"
    return found


def _totals(streams: Iterable[Stream]) -> dict[_Place, int]:
    found: defaultdict[_Place, int] = defaultdict(int)
    for stream in streams:
        for place in _path(stream):
            found[place] += stream.calls
    return found


def _places(streams: Iterable[Stream]) -> list[_Place]:
    return list(dict.fromkeys(place for stream in streams for place in _path(stream)))


def _bands(streams: Iterable[Stream]) -> dict[tuple[_Place, _Place, bool], int]:
    """Return the calls between each pair of neighbours, those in the wrong layer apart."""
    found: defaultdict[tuple[_Place, _Place, bool], int] = defaultdict(int)
    for stream in streams:
        path = _path(stream)
        for one, other in pairwise(path):
            found[one, other, stream.wrong_layer] += stream.calls
    return dict(found)


def _heights(streams: Iterable[Stream], bands: dict[tuple[_Place, _Place, bool], int]) -> dict[_Place, float]:
    """Return how high each node is: as the bands on its fuller side, and enough for its label."""
    out: defaultdict[_Place, float] = defaultdict(float)
    into: defaultdict[_Place, float] = defaultdict(float)
    for (one, other, _), calls in bands.items():
        out[one] += _thick(calls)
        into[other] += _thick(calls)
    return {place: max(out[place], into[place], _LEAST) for place in _places(streams)}


def _thick(calls: int) -> float:
    return 2 + 2.4 * math.log10(1 + max(0, calls))


def _tops(heights: dict[_Place, float], bands: dict[tuple[_Place, _Place, bool], int]) -> dict[_Place, float]:
    """Stack each column in the order of where its bands come from."""
    tops: dict[_Place, float] = {}
    before: defaultdict[_Place, list[float]] = defaultdict(list)
    for column in range(4):
        mine = [place for place in heights if place[0] == column]
        if column:
            mine.sort(key=lambda place: sum(before[place]) / max(1, len(before[place])))
        y = _TOP
        for place in mine:
            tops[place] = y
            y += heights[place] + _GAP
        for one, other, _ in bands:
            if one[0] == column:
                before[other].append(tops[one])
    return tops


def _links(
    bands: dict[tuple[_Place, _Place, bool], int],
    tops: dict[_Place, float],
    heights: dict[_Place, float],
    labels: dict[_Place, str],
) -> Iterator[Link]:
    """Lay bands side by side at both of their ends; those in the wrong layer are drawn last, on top."""
    starts = _offsets(bands, tops, heights, end=0)
    ends = _offsets(bands, tops, heights, end=1)
    for band in sorted(bands, key=lambda each: each[2]):
        one, other, wrong = band
        x0, x1 = _COLUMNS[one[0]] + _BAR, _COLUMNS[other[0]]
        y0, y1, middle = _round(starts[band]), _round(ends[band]), _round((x0 + x1) / 2 + 70)
        yield Link(
            path=f"M{_round(x0)} {y0}C{middle} {y0} {_round(x1 - 60)} {y1} {_round(x1)} {y1}",
            width=_round(_thick(bands[band])),
            title=f"{labels[one]} -> {labels[other]}: {bands[band]:,} calls",
            wrong=wrong,
        )


def _offsets(
    bands: dict[tuple[_Place, _Place, bool], int], tops: dict[_Place, float], heights: dict[_Place, float], end: int
) -> dict[tuple[_Place, _Place, bool], float]:
    at: defaultdict[_Place, list[tuple[_Place, _Place, bool]]] = defaultdict(list)
    for band in bands:
        at[band[:2][end]].append(band)
    found: dict[tuple[_Place, _Place, bool], float] = {}
    for place, mine in at.items():
        mine.sort(key=lambda band: tops[band[:2][1 - end]])
        taken = sum(_thick(bands[band]) for band in mine)
        y = tops[place] + (heights[place] - taken) / 2
        for band in mine:
            width = _thick(bands[band])
            found[band] = y + width / 2
            y += width
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 13]}…{text[-12:]}"
