"""Expressions over parameters: the text of a `parameterConstraints` item, read into a tree.

Owns the grammar, which is a part of CEL's: `||`, `&&`, `!`, comparisons, `in [...]`, `+ - * / %`, numbers, texts, `true` and
`false`. No calls, no powers, no fields, no loops: what can be written is bounded by its length. A parameter stands by its
name; one with a `-` in it, or named like a word of the grammar, in backquotes. What a tree means is `constraints.py`'s.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

DEEPEST = 24  # of brackets and signs within each other
LONGEST_NUMBER = 24  # characters; an exponent of four digits would make a number that fills the memory

Literal = bool | str | int | Fraction


@dataclass(frozen=True)
class Constant:
    """A number (exact: 0.1 is a tenth), a text, or true or false."""

    value: Literal


@dataclass(frozen=True)
class Name:
    """A parameter."""

    name: str


@dataclass(frozen=True)
class Items:
    """What may stand right of `in`."""

    items: tuple["Node", ...]


@dataclass(frozen=True)
class Unary:
    """`!` or `-`."""

    operator: str
    operand: "Node"


@dataclass(frozen=True)
class Binary:
    """An operator between two; `place` is where it stands in the text."""

    operator: str
    left: "Node"
    right: "Node"


Node = Constant | Name | Items | Unary | Binary


class ExpressionError(ValueError):
    """The text is no expression, or means nothing; told as a problem by whoever knows its place in the manifest."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int  # of its first character, from 1


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)
      | (?P<text>"([^"\\]|\\["'\\])*"|'([^'\\]|\\["'\\])*')
      | (?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)
      | (?P<quoted>`[^`]+`)
      | (?P<symbol>\|\||&&|[=!<>]=|[][()<>!,+*/%-])""",
    re.VERBOSE | re.ASCII,
)
_LEVELS = (("||",), ("&&",), ("==", "!=", "<=", ">=", "<", ">", "in"), ("+", "-"), ("*", "/", "%"))
_COMPARISONS = 2  # the level that does not chain
_HINTS = {
    "and": "`&&` is and",
    "or": "`||` is or",
    "not": "`!` is not",
    "=": "`==` compares",
    "&": "`&&` is and",
    "|": "`||` is or",
    "^": "there are no powers",
    "True": "write true",
    "False": "write false",
}


def read(text: str) -> Node:
    """The tree of an expression. ExpressionError: it is none."""
    parser = _Parser(list(_tokens(text)))
    tree = parser.level(0)
    parser.end()
    return tree


def names(tree: Node) -> Iterator[str]:
    """The parameters that an expression mentions, as often as it does."""
    match tree:
        case Name(name):
            yield name
        case Unary(_, operand):
            yield from names(operand)
        case Binary(_, left, right):
            yield from names(left)
            yield from names(right)
        case Items(items):
            for item in items:
                yield from names(item)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"found {text[at : at + 12]!r} at character {at + 1}{_hint(text[at])}")
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match[0], at + 1)
        at = match.end()


class _Parser:
    """Recursive descent, a function a level of precedence."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def level(self, number: int) -> Node:
        """Operands of this level's operators, from left to right."""
        if number == len(_LEVELS):
            return self._unary()
        tree, chained = self.level(number + 1), 0
        while (operator := self._taken(*_LEVELS[number])) is not None:
            chained += 1
            if number == _COMPARISONS and chained > 1:
                raise ExpressionError(f"found a second comparison{_where(operator)}; join two with &&: a < b && b < c")
            tree = Binary(operator.text, tree, self.level(number + 1))
        return tree

    def end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            raise ExpressionError(
                f"found `{token.text}`{_where(token)}; an operator or the end is expected{_hint(token.text)}"
            )

    def _unary(self) -> Node:
        if (sign := self._taken("!", "-")) is not None:
            return Unary(sign.text, self._deeper(sign, self._unary))
        if (bracket := self._taken("(")) is not None:
            inner = self._deeper(bracket, lambda: self.level(0))
            self._closed(")", bracket)
            return inner
        if (bracket := self._taken("[")) is not None:
            return self._deeper(bracket, lambda: self._list(bracket))
        return self._operand()

    def _list(self, bracket: _Token) -> Node:
        items = [self.level(0)]
        while self._taken(","):
            items.append(self.level(0))
        self._closed("]", bracket)
        return Items(tuple(items))

    def _operand(self) -> Node:
        if self._at == len(self._tokens):
            raise ExpressionError("it ends where a number, a text or a parameter is expected")
        token = self._tokens[self._at]
        self._at += 1
        match token.kind:
            case "number":
                return Constant(_number(token))
            case "text":
                return Constant(re.sub(r"\\(.)", r"\1", token.text[1:-1]))
            case "quoted":
                return Name(token.text[1:-1])
            case "name" if token.text in ("true", "false"):
                return Constant(token.text == "true")
            case "name" if token.text != "in":
                return Name(token.text)
        raise ExpressionError(f"found `{token.text}`{_where(token)}; a number, a text or a parameter is expected")

    def _deeper(self, token: _Token, inner: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"found more than {DEEPEST} brackets and signs within each other{_where(token)}")
        found = inner()
        self._depth -= 1
        return found

    def _closed(self, symbol: str, opened: _Token) -> None:
        if self._taken(symbol) is None:
            raise ExpressionError(f"`{opened.text}`{_where(opened)} is never closed; `{symbol}` is expected")

    def _taken(self, *texts: str) -> _Token | None:
        """The next token, if it is one of these and no text or backquoted name."""
        if self._at == len(self._tokens):
            return None
        token = self._tokens[self._at]
        if token.kind not in ("symbol", "name") or token.text not in texts:
            return None
        self._at += 1
        return token


def _number(token: _Token) -> int | Fraction:
    """Exactly what stands there."""
    exponent = re.split("[eE]", token.text)[-1] if re.search("[eE]", token.text) else "0"
    if len(token.text) > LONGEST_NUMBER or abs(int(exponent)) > 308:
        raise ExpressionError(
            f"found the number {token.text[:LONGEST_NUMBER]}{_where(token)}; allowed: what a float can hold"
        )
    exact = Fraction(token.text)
    return int(exact) if exact.denominator == 1 else exact


def _where(token: _Token) -> str:
    return f" at character {token.place}"


def _hint(found: str) -> str:
    return f" ({_HINTS[found]})" if found in _HINTS else ""
