"""YAML as kubectl reads it: text in, JSON-like documents with the line of each field out; and `dump`, the way back.

kubectl turns YAML into JSON with sigs.k8s.io/yaml, that is go-yaml v2 (YAML 1.1 with exceptions: `1e5` is a number,
`0o17` and `017` are 15, `on` and `y` are true, `1:30` and dates are text), and then prints numbers as Go's
encoding/json does: 16.0 is 16. PyYAML composes the nodes here; what a scalar means is in `goscalars.py`. A table in
tests/corpus/yaml_values.py holds both to a real kubectl's answers.

kubectl takes the last of doubled keys without a word; so does this reader, with a warning. One thing is refused that
kubectl would take: a tab inside unquoted text. Owns no field of a sweep.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.goscalars import number, plain

_MOST_VALUES = 400_000  # of a document; etcd would not hold more, and go-yaml begins to doubt aliases here
_LINE_END = "\0\r\n\x85\u2028\u2029"
_TAGS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("str", "bool", "int", "float", "null", "binary")}


@dataclass
class Document:
    """One document: its content as JSON would hold it, and where its fields stand."""

    content: Any
    source: str
    line: int  # of its first field, from 1
    lines: dict[str, int] = field(default_factory=dict)  # `spec.parameters[2].max` to its line
    warnings: list[Problem] = field(default_factory=list)

    def place(self, path: str) -> str:
        """`file:line` of a field, or of the nearest one around it that is there."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.source}:{self.lines.get(path, self.line)}"


def documents(text: str, *, source: str = "manifest") -> Iterator[Document]:
    """The documents of a file, empty ones left out. SpecError: what cannot be read, as `file:line:column`."""
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    if (content := _as_json(text)) is not None:
        yield Document(content, source, 1)
        return
    for first, chunk in _chunks(text, source):
        document = _Reading(chunk, source=source, first=first).document()
        if document is not None:
            yield document


def _as_json(text: str) -> Any:
    """What looks like JSON kubectl tries as JSON first; None: it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(
            text, parse_int=lambda digits: number(int(digits)), parse_float=lambda digits: number(float(digits))
        )
    except ValueError:
        return None


def _chunks(text: str, source: str) -> Iterator[tuple[int, str]]:
    """Lines between `---`, with the number of the first; kubectl splits before it parses, by lines alone."""
    first, held = 1, list[str]()
    for at, line in enumerate(text.split("\n"), 1):
        if not line.startswith("---"):
            held.append(line)
            continue
        rest = line[3:].strip()
        if rest and not rest.startswith("#"):
            raise SpecError(
                [Problem(f"{source}:{at}:4", f"found {rest!r} after ---; kubectl allows only a comment there")]
            )
        yield first, "\n".join(held)
        first, held = at + 1, []
    yield first, "\n".join(held)


class _Composing(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's reader up to nodes; a scalar that has no tag of its own keeps none."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """An anchor may be given again, as in go-yaml (and YAML itself): the newest counts."""
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def scan_to_next_token(self) -> None:
        """Tabs part tokens wherever no new key may begin, as in libyaml; PyYAML knows only spaces."""
        while True:
            while self.peek() == " " or (self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                self.forward()
            if self.peek() == "#":
                self._skip_comment()
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def _skip_comment(self) -> None:
        while self.peek() not in _LINE_END:
            self.forward()

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:  # noqa: ARG002
        return "" if implicit is True or (isinstance(implicit, tuple) and implicit[0]) else "tag:yaml.org,2002:str"


class _Reading:
    """One document, from nodes to values."""

    def __init__(self, text: str, *, source: str, first: int) -> None:
        self.text, self.source, self.first = text, source, first
        self.found = Document(None, source, first)
        self.values = 0
        self.open: set[int] = set()  # nodes that are being read: an alias to one of them has no end

    def document(self) -> Document | None:
        try:
            root = _Composing(self.text)
            node = root.get_node() if root.check_node() else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._refusal(mark, " ".join(filter(None, (error.context, error.problem, error.note)))) from None
        except yaml.reader.ReaderError as error:
            before = self.text[: error.position]
            place = f"{self.source}:{self.first + before.count(chr(10))}:{error.position - before.rfind(chr(10))}"
            raise SpecError(
                [Problem(place, f"found a character that YAML does not allow: #x{int(error.character):04x}")]
            ) from None
        if node is None:
            return None
        self.found.line = self.first + int(node.start_mark.line)
        self.found.content = self._value(node, "")
        return None if self.found.content is None else self.found

    def _value(self, node: Node, path: str) -> Any:
        self.values += 1
        if self.values > _MOST_VALUES:
            raise self._refusal(node.start_mark, f"found aliases that unfold to more than {_MOST_VALUES:,} values")
        if isinstance(node, ScalarNode):
            return self._json(node)
        if id(node) in self.open:
            raise self._refusal(node.start_mark, "found an alias to something that it is itself a part of")
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self._item(child, f"{path}[{i}]") for i, child in enumerate(node.value)]
            return self._mapping(node, path)  # type: ignore[arg-type]
        finally:
            self.open.discard(id(node))

    def _item(self, node: Node, path: str) -> Any:
        self._mark(node, path)
        return self._value(node, path)

    def _mark(self, node: Node, path: str) -> None:
        self.found.lines[path] = self.first + int(node.start_mark.line)

    def _mapping(self, node: MappingNode, path: str) -> dict[str, Any]:
        """As go-yaml does it: in the order of the text, so a merge overrides what stands before it."""
        content: dict[str, Any] = {}
        own = set[str]()
        for key_node, value_node in node.value:
            if (
                isinstance(key_node, ScalarNode)
                and key_node.value == "<<"
                and key_node.tag in ("", "tag:yaml.org,2002:merge")
            ):
                content |= self._merged(value_node, path)
                continue
            key = self._key(key_node)
            below = f"{path}.{key}" if path else key
            if key in own:
                message = f"found a second time (first in line {self.found.lines[below]}); kubectl takes the last one"
                self.found.warnings.append(Problem(below, message))
            own.add(key)
            self._mark(key_node, below)
            content[key] = self._value(value_node, below)
        return content

    def _merged(self, node: Node, path: str) -> dict[str, Any]:
        parts = reversed(node.value) if isinstance(node, SequenceNode) else [node]
        content: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, MappingNode):
                raise self._refusal(
                    node.start_mark, "found a merge (<<) of something else; it takes a mapping or a list of mappings"
                )
            content |= self._value(part, path)
        return content

    def _key(self, node: Node) -> str:
        """Keys become text: `1: x` is "1", `on: x` is "true"."""
        value = self._json(node) if isinstance(node, ScalarNode) else ...
        if value is None or value is ...:
            raise self._refusal(node.start_mark, "found a key that is null, a list or a mapping; a key must be text")
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else f"{value:.7g}" if isinstance(value, float) else str(value)

    def _json(self, node: ScalarNode) -> Any:
        try:
            return (
                number(value)
                if isinstance(value := _scalar(node), int | float) and not isinstance(value, bool)
                else value
            )
        except ValueError as error:
            raise self._refusal(node.start_mark, str(error)) from None

    def _refusal(self, mark: Any, message: str) -> SpecError:
        place = f"{self.source}:{self.first + mark.line}:{mark.column + 1}" if mark else self.source
        return SpecError([Problem(place, message)])


def _scalar(node: ScalarNode) -> Any:
    kind = _TAGS.get(node.tag)
    if kind == "binary":
        try:
            return base64.b64decode("".join(node.value.split()), validate=True).decode(errors="replace")
        except binascii.Error:
            raise ValueError("found !!binary with something that is not base64") from None
    if kind == "str" or (node.tag and kind is None):  # a tag of somebody's own says nothing to kubectl
        return str(node.value)
    value = plain(node.value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind and kind != _kind(value):
        raise ValueError(f"found {json.dumps(node.value)} with the tag !!{kind}, which it is not")
    return value


def _kind(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float", str: "str"}.get(type(value), "null")


# ---- the way back ------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Quotes every text that kubectl would read as something else: PyYAML leaves `y`, `1e5` and `0o17` bare."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, text: str) -> ScalarNode:
    try:
        bare = plain(text) == text
    except ValueError:
        bare = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if bare else "'")


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """A document as YAML that kubectl, and this reader, read back as it is. Keys keep their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)
