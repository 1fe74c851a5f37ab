"""Constraints between parameters: what an expression means in a space, and whether an assignment meets it.

Owns types and evaluation. Numbers are exact decimals (0.1 + 0.2 is 0.3, 1 is 1.0, 1 / 2 is 0.5), so that a sum of steps
meets the bound that a person wrote. A constraint that mentions an inactive parameter holds; one that divides by zero does
not. Pure and bounded: an expression is as long as its text, and no number grows beyond `_BITS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from hypersweep.core import expression
from hypersweep.core.domain import Choices, Domain, exact
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.expression import Binary, Constant, ExpressionError, Items, Literal, Name, Node, Unary
from hypersweep.core.reach import reach
from hypersweep.core.spec import ParameterConstraint
from hypersweep.core.wording import nearest, shown

PATH = "spec.parameterConstraints"
_BITS = 2048  # of a number's numerator or denominator; beyond, it is rounded to what a float tells
_ARITHMETIC, _ORDER, _EQUALITY, _LOGIC = ("+", "-", "*", "/", "%"), ("<", "<=", ">", ">="), ("==", "!="), ("&&", "||")
_KINDS = {"numbers": "a number", "strings": "text", "booleans": "true or false"}
_NUMBER, _TEXT, _BOOLEAN = _KINDS.values()

Evaluation = Callable[[Mapping[str, Literal]], Any]


@dataclass(frozen=True)
class Constraint:
    """One expression that every assignment of the space meets."""

    expression: str
    message: str
    tree: Node = field(compare=False, repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters that it mentions, each once."""
        return tuple(dict.fromkeys(expression.names(self.tree)))

    def holds(self, assignment: Mapping[str, Any]) -> bool:
        """Whether the assignment, of values without problems, meets it."""
        if not all(name in assignment for name in self.names):
            return True
        try:
            return bool(self._evaluation({name: exact(assignment[name]) for name in self.names}))
        except (ZeroDivisionError, OverflowError):
            return False

    @cached_property
    def _evaluation(self) -> Evaluation:
        return _compiled(self.tree)


def constraints(items: Sequence[ParameterConstraint], domains: Mapping[str, Domain]) -> tuple[Constraint, ...]:
    """The constraints of a space with these parameters, in an order of their own. SpecError: all that is wrong with them."""
    found, problems = [], []
    for i, item in enumerate(items):
        try:
            tree = expression.read(item.expression)
            kind = _kind(tree, domains)
            if kind != _BOOLEAN:
                raise ExpressionError(f"it is {kind}; a comparison is expected, for instance a <= b")
            if not any(expression.names(tree)):
                raise ExpressionError(f"it mentions no parameter; there are: {', '.join(domains)}")
            if True not in (reach(tree, domains) or ()):
                raise ExpressionError("it never holds, whatever values these parameters have")
            found.append(Constraint(" ".join(item.expression.split()), item.message or "", tree))
        except ExpressionError as error:
            problems.append(Problem(f"{PATH}[{i}].expression", f"found {shown(item.expression)}: {error}"))
    if problems:
        raise SpecError(problems)
    return tuple(sorted(found, key=lambda c: (c.expression, c.message)))


# ---- types -------------------------------------------------------------------------------------------------------------


def _kind(tree: Node, domains: Mapping[str, Domain]) -> str:
    """What an expression is, in words. ExpressionError: it means nothing."""
    match tree:
        case Constant(bool()):
            return _BOOLEAN
        case Constant(str()):
            return _TEXT
        case Constant():
            return _NUMBER
        case Name(name):
            return _kind_of_name(name, domains)
        case Unary(operator, operand):
            return _wanted(operand, _BOOLEAN if operator == "!" else _NUMBER, operator, domains)
        case Items():
            raise ExpressionError("a list [...] may only stand right of `in`")
        case Binary("in", left, right):
            return _kind_of_membership(left, right, domains)
        case Binary(operator, left, right) if operator in _EQUALITY:
            _wanted(right, _kind(left, domains), operator, domains)
            _possible(left, right, domains)
            return _BOOLEAN
        case Binary(operator, left, right):
            operands = _BOOLEAN if operator in _LOGIC else _NUMBER
            _wanted(left, operands, operator, domains)
            _wanted(right, operands, operator, domains)
            return _NUMBER if operator in _ARITHMETIC else _BOOLEAN
    raise TypeError(tree)


def _kind_of_name(name: str, domains: Mapping[str, Domain]) -> str:
    if name not in domains:
        raise ExpressionError(f"no parameter is named `{name}`; {_meant(name, domains)}")
    values = domains[name]
    return _KINDS[values.noun] if isinstance(values, Choices) else _NUMBER


def _meant(name: str, domains: Mapping[str, Domain]) -> str:
    """A hint for the two usual slips: a name with `-` in it, and a text without quotes."""
    dashed = next((d for d in domains if "-" in d and d.split("-")[0] == name), None)
    if dashed:
        return f"a name with `-` in it stands in backquotes: `{dashed}`"
    if any(isinstance(d, Choices) and name in d.values for d in domains.values()):
        return f'a text stands in quotes: "{name}"'
    return nearest(name, domains)


def _kind_of_membership(left: Node, right: Node, domains: Mapping[str, Domain]) -> str:
    if not isinstance(right, Items):
        raise ExpressionError("right of `in` a list is expected, for instance [1, 2]")
    kind = _kind(left, domains)
    for item in right.items:
        _wanted(item, kind, "in", domains)
        _possible(left, item, domains)
    return _BOOLEAN


def _wanted(tree: Node, kind: str, operator: str, domains: Mapping[str, Domain]) -> str:
    found = _kind(tree, domains)
    if found != kind:
        raise ExpressionError(f"`{operator}` wants {kind} here, and found {_told(tree)}{found}")
    return found


def _told(tree: Node) -> str:
    match tree:
        case Name(name):
            return f"{name}, "
        case Constant(value):
            return f"{shown(value if isinstance(value, str | bool) else float(value))}, "
    return ""


def _possible(left: Node, right: Node, domains: Mapping[str, Domain]) -> None:
    """A text that a parameter is compared with should be one that it can have: anything else is a slip."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Name) and isinstance(other, Constant) and isinstance(other.value, str):
            values = domains[one.name]
            if isinstance(values, Choices) and other.value not in values.values:
                allowed = ", ".join(map(shown, values.values))
                raise ExpressionError(f"{one.name} is never {shown(other.value)}; allowed: {allowed}")


# ---- evaluation --------------------------------------------------------------------------------------------------------


def _compiled(tree: Node) -> Evaluation:
    """A function of the parameters' exact values. ZeroDivisionError and OverflowError: it has no value there."""
    match tree:
        case Constant(value):
            return lambda _: value
        case Name(name):
            return lambda values: values[name]
        case Unary(operator, operand):
            inner = _compiled(operand)
            return (lambda values: not inner(values)) if operator == "!" else (lambda values: -inner(values))
        case Binary("in", left, Items(items)):
            one, all_ = _compiled(left), [_compiled(item) for item in items]
            return lambda values: any(one(values) == item(values) for item in all_)
        case Binary(operator, left, right):
            return _joined(operator, _compiled(left), _compiled(right))
    raise TypeError(tree)


def _joined(operator: str, a: Evaluation, b: Evaluation) -> Evaluation:
    if operator == "&&":
        return lambda values: a(values) and b(values)
    if operator == "||":
        return lambda values: a(values) or b(values)
    apply = _OPERATORS[operator]
    return lambda values: apply(a(values), b(values))


def _bounded(number: int | Fraction) -> int | Fraction:
    """The number; rounded where its digits are more than anybody meant."""
    if max(number.numerator.bit_length(), number.denominator.bit_length()) <= _BITS:
        return number
    return Fraction(float(number))


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: _bounded(a + b),
    "-": lambda a, b: _bounded(a - b),
    "*": lambda a, b: _bounded(a * b),
    "/": lambda a, b: _bounded(Fraction(a) / b),
    "%": lambda a, b: _bounded(a % b),
}
