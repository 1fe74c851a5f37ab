"""An analysis as pictures that need no library: how the search went, what matters, the effects with their intervals.

Owns the drawing, as SVG text, for where matplotlib is not (the operator's image). Computes nothing that a reader could not
find in the report, and gives the same bytes for the same findings.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from hypersweep.core.aim import Goal
from hypersweep.core.analysis.evidence import Evidence
from hypersweep.core.analysis.findings import Objective, Parameter, Point

BLUE, GREY, GREEN = "#2563eb", "#9ca3af", "#059669"
WIDTH = 640
EFFECTS = 9  # parameters that are drawn
COLUMNS = 3
_ROW, _TITLE, _NAMES = 26, 34, 150  # pixels: a bar's row, the title's line, the names beside the bars
_PANEL, _INSET = (210, 170), (44, 12, 22, 28)  # an effect's picture; what it keeps free: left, right, top, bottom

Mark = tuple[str, Mapping[str, object], str]  # element, attributes, text in it


def drawn(found: Objective, evidence: Evidence) -> dict[str, str]:
    """The pictures by name; those without anything to show are left out."""
    pictures = {"history": history(evidence)} if evidence.measured else {}
    if effects_of := [p for p in found.parameters if p.effect][:EFFECTS]:
        pictures |= {"importance": importance(found), "effects": effects(effects_of, found.metric)}
    return pictures


def history(evidence: Evidence) -> str:
    """Each trial's value over its index, and the best so far."""
    height, (left, right, top, bottom) = 320, (64, 16, _TITLE, 36)
    indices = [t.index for t in evidence.measured]
    low, high = evidence.limits
    x = _scale(min(indices), max(indices), left, WIDTH - right)
    y = _scale(low, high, height - bottom, top)
    values = [float(min(max(v, low), high)) for v in evidence.values]
    dots = [_dot(x(i), y(v), 3, BLUE, 0.55) for i, v in zip(indices, values, strict=True)]
    best = _so_far(values, evidence.goal)
    stairs = [(x(indices[0]), y(best[0]))]
    for i, before, now in zip(indices[1:], best, best[1:], strict=False):
        stairs += [(x(i), y(before)), (x(i), y(now))]
    marks = [
        _text(WIDTH / 2, 20, f"{evidence.metric} over {len(evidence.trials)} trials, and the best so far", 14),
        *_frame(left, top, WIDTH - right, height - bottom),
        *(_text(left - 6, y(v) + 4, f"{v:.3g}", 10, anchor="end") for v in (low, high)),
        *(_text(x(i), height - bottom + 16, str(i), 10) for i in sorted({indices[0], indices[-1]})),
        _text(WIDTH / 2, height - 6, "trial", 11),
        *dots,
        _line(stairs, GREEN),
    ]
    return _svg(WIDTH, height, marks)


def importance(found: Objective) -> str:
    """Bars, those that cannot be told from chance in grey."""
    known = [p for p in found.parameters if p.importance is not None]
    most = max((p.importance or 0.0 for p in known), default=0.0) or 1.0
    marks = [_text(WIDTH / 2, 20, f"What decides {found.metric}: {found.results} results", 14)]
    for row, each in enumerate(known):
        top, share = _TITLE + row * _ROW, each.importance or 0.0
        length = share / most * (WIDTH - _NAMES - 190)
        told = f"{share:.0%}" + ("" if each.certain else " not told from chance")
        bar = {"x": _NAMES, "y": top, "width": length, "height": _ROW - 8, "fill": BLUE if each.certain else GREY}
        marks += [
            _text(_NAMES - 8, top + 13, each.name[:24], 11, anchor="end"),
            ("rect", bar, ""),
            _text(_NAMES + length + 6, top + 13, told, 11, anchor="start"),
        ]
    return _svg(WIDTH, _TITLE + len(known) * _ROW + 8, marks)


def effects(parameters: Sequence[Parameter], metric: str) -> str:
    """The expected objective along each parameter, with its interval, all on one scale."""
    points = [point for p in parameters for point in p.effect]
    low, high = min(p.low for p in points), max(p.high for p in points)
    wide, tall = _PANEL
    columns = min(COLUMNS, len(parameters))
    marks = [_text(max(columns * wide, 420) / 2, 20, f"Expected {metric}, the others at their average (95 %)", 14)]
    for i, parameter in enumerate(parameters):
        marks += _effect(parameter, (i % columns * wide, _TITLE + i // columns * tall), low, high)
    return _svg(max(columns * wide, 420), _TITLE + -(-len(parameters) // columns) * tall, marks)


def _effect(parameter: Parameter, corner: tuple[float, float], low: float, high: float) -> list[Mark]:
    (left, right, top, bottom), (wide, tall) = _INSET, _PANEL
    edges = corner[0] + left, corner[1] + top, corner[0] + wide - right, corner[1] + tall - bottom
    points, colour = parameter.effect, BLUE if parameter.certain else GREY
    places = [p.place if parameter.ordered else (i + 0.5) / len(points) for i, p in enumerate(points)]
    x, y = _scale(0, 1, edges[0] + 4, edges[2] - 4), _scale(low, high, edges[3] - 4, edges[1] + 4)
    at = [(x(place), point) for place, point in zip(places, points, strict=True)]
    ends = [(places[0], points[0]), (places[-1], points[-1])] if len(points) > 4 else zip(places, points, strict=True)
    return [
        _text((edges[0] + edges[2]) / 2, edges[1] - 6, parameter.name[:28], 11),
        *_frame(*edges),
        *(_text(edges[0] - 4, y(v) + 4, f"{v:.3g}", 9, anchor="end") for v in (low, high)),
        *(_text(x(place), edges[3] + 14, _tick(point.value), 9) for place, point in ends),
        *(_band(at, y, colour) if parameter.ordered else _bars(at, y, colour)),
        *(_dot(px, y(point.expected), 2.5 if point.trials else 1, colour, 1) for px, point in at),
    ]


def _band(at: Sequence[tuple[float, Point]], y: Callable[[float], float], colour: str) -> Iterable[Mark]:
    """The interval as an area, the expectation as a line."""
    around = [(x, y(p.high)) for x, p in at] + [(x, y(p.low)) for x, p in reversed(at)]
    yield "polygon", {"points": _points(around), "fill": colour, "fill-opacity": 0.18}, ""
    yield _line([(x, y(p.expected)) for x, p in at], colour)


def _bars(at: Sequence[tuple[float, Point]], y: Callable[[float], float], colour: str) -> Iterable[Mark]:
    """The interval of each word as a line of its own."""
    return (_line([(x, y(p.low)), (x, y(p.high))], colour) for x, p in at)


def _tick(label: str) -> str:
    """The beginning of a range is enough for an axis."""
    return label.split(" to ", maxsplit=1)[0][:10]


def _so_far(values: Sequence[float], goal: Goal) -> list[float]:
    best, known = min if goal == "Minimize" else max, list[float]()
    for value in values:
        known.append(best(known[-1], value) if known else value)
    return known


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A number's place in pixels; the middle where there is but one number."""
    span = high - low
    return lambda v: start + (v - low) / span * (end - start) if span else (start + end) / 2


# ---- SVG -------------------------------------------------------------------------------------------------------------


def _svg(width: float, height: float, marks: Iterable[Mark]) -> str:
    body = "\n".join(
        _element(*mark) for mark in (("rect", {"width": "100%", "height": "100%", "fill": "white"}, ""), *marks)
    )
    size = f'width="{_number(width)}" height="{_number(height)}" viewBox="0 0 {_number(width)} {_number(height)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n{body}\n</svg>\n'


def _element(name: str, attributes: Mapping[str, object], text: str) -> str:
    said = " ".join(f'{key}="{escape(_number(value))}"' for key, value in attributes.items())
    return f"<{name} {said}>{escape(text)}</{name}>"


def _text(x: float, y: float, text: str, size: int, *, anchor: str = "middle") -> Mark:
    return "text", {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": "#111827"}, text


def _dot(x: float, y: float, radius: float, colour: str, opacity: float) -> Mark:
    return "circle", {"cx": x, "cy": y, "r": radius, "fill": colour, "fill-opacity": opacity}, ""


def _line(places: Sequence[tuple[float, float]], colour: str) -> Mark:
    return "polyline", {"points": _points(places), "fill": "none", "stroke": colour, "stroke-width": 1.8}, ""


def _frame(left: float, top: float, right: float, bottom: float) -> Iterable[Mark]:
    yield (
        "polyline",
        {"points": _points([(left, top), (left, bottom), (right, bottom)]), "fill": "none", "stroke": GREY},
        "",
    )


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in places)


def _number(value: object) -> str:
    """With a hundredth of a pixel, the same on every machine."""
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)
