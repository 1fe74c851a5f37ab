"""What an expression can come to, over all values that its parameters have: interval arithmetic.

Owns one question: can a constraint hold at all? A "no" is never wrong, but not each is found: every mention of a parameter
is taken for itself, so that `a - a` may be more than 0, and what was divided may be anything.
"""

from collections.abc import Mapping
from fractions import Fraction

from hypersweep.core.domain import Choices, Domain, Interval, exact
from hypersweep.core.expression import Binary, Constant, Items, Name, Node, Unary

Number = int | Fraction
Reach = tuple[Number, Number] | frozenset[str | bool] | None  # a range of numbers; texts or truths; anything
_ANY: Reach = frozenset((True, False))
_MIRRORED = {">": "<", ">=": "<="}


def reach(tree: Node, domains: Mapping[str, Domain]) -> Reach:
    """All that a well-typed expression may be. Of a constraint: the truths that are possible."""
    match tree:
        case Constant(bool() | str() as value):
            return frozenset((value,))
        case Constant(value):
            return exact(value), exact(value)
        case Name(name):
            return _values(domains[name])
        case Unary("!", operand):
            found = reach(operand, domains)
            return frozenset(not truth for truth in found) if isinstance(found, frozenset) else _ANY
        case Unary(_, operand):
            found = reach(operand, domains)
            return (-found[1], -found[0]) if isinstance(found, tuple) else None
        case Binary("in", left, Items(items)):
            return _either([_equal(reach(left, domains), reach(item, domains)) for item in items])
        case Binary(operator, left, right):
            return _joined(operator, reach(left, domains), reach(right, domains))
    return None


def _values(domain: Domain) -> Reach:
    if isinstance(domain, Choices) and domain.noun != "numbers":
        return frozenset(v for v in domain.values if isinstance(v, str | bool))
    if isinstance(domain, Interval):
        return exact(domain.low), exact(domain.high)
    return exact(domain.at(0)), exact(domain.at((domain.size or 1) - 1))


def _joined(operator: str, a: Reach, b: Reach) -> Reach:
    match operator:
        case "||":
            return _either([a, b])
        case "&&":
            both = {x and y for x in _truths(a) for y in _truths(b)}
            return frozenset(both)
        case "==":
            return _equal(a, b)
        case "!=":
            return frozenset(not truth for truth in _truths(_equal(a, b)))
    if not isinstance(a, tuple) or not isinstance(b, tuple):
        return _ANY if operator in ("<", "<=", ">", ">=") else None
    return _arithmetic(operator, a, b) if operator in ("+", "-", "*", "/", "%") else _order(operator, a, b)


def _arithmetic(operator: str, a: tuple[Number, Number], b: tuple[Number, Number]) -> Reach:
    if operator == "+":
        return a[0] + b[0], a[1] + b[1]
    if operator == "-":
        return a[0] - b[1], a[1] - b[0]
    if operator == "*":
        corners = [x * y for x in a for y in b]
        return min(corners), max(corners)
    return None


def _order(operator: str, a: tuple[Number, Number], b: tuple[Number, Number]) -> Reach:
    if operator in _MIRRORED:
        return _order(_MIRRORED[operator], b, a)
    possible, certain = (a[0] < b[1], a[1] < b[0]) if operator == "<" else (a[0] <= b[1], a[1] <= b[0])
    return frozenset(truth for truth, holds in ((True, possible), (False, not certain)) if holds)


def _equal(a: Reach, b: Reach) -> Reach:
    if isinstance(a, tuple) and isinstance(b, tuple):
        apart = a[1] < b[0] or b[1] < a[0]
        return frozenset((False,)) if apart else frozenset((True,)) if a[0] == a[1] == b[0] == b[1] else _ANY
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return frozenset((x == y) for x in a for y in b)
    return _ANY


def _either(options: list[Reach]) -> Reach:
    truths = [_truths(option) for option in options]
    return frozenset({True} if any(True in t for t in truths) else ()) | frozenset(
        {False} if all(False in t for t in truths) else ()
    )


def _truths(found: Reach) -> frozenset[str | bool]:
    return found if isinstance(found, frozenset) else frozenset((True, False))
