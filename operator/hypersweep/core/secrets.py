"""Secrets that stand literally in a manifest: which texts are taken for one, and the manifest with others in their place.

Pure. One walk finds them all, so that what is warned of, what is withheld from MLflow and what must be given for a repetition
are the same. Taken for a secret is what a name calls one (a variable, a flag, `NAME=value` in a script, an annotation), and a
password in a URL. References (`valueFrom`, `$(NAME)`) are none. Guessing by names must err: on the side of withholding.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

WITHHELD = "(withheld)"

_NAMES = re.compile(r".*(TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|ACCESSKEY|PRIVATEKEY)")
_WORDS = frozenset({"KEY", "KEYS", "AUTH", "AUTHORIZATION", "PASS", "PWD", "BEARER"})
_HARMLESS_ENDS = frozenset({"FILE", "PATH", "DIR", "NAME", "DIM", "SIZE", "LENGTH", "TYPE", "COUNT", "DROPOUT"})
_HARMLESS = {  # by the last word: what stands before it where it is no secret
    "TOKEN": frozenset({"PAD", "EOS", "BOS", "SEP", "CLS", "UNK", "MASK", "STOP", "SPECIAL", "IMAGE"}),  # of a language
    "KEY": frozenset(
        {"IMAGE", "TEXT", "LABEL", "TARGET", "INPUT", "OUTPUT", "FEATURE", "COLUMN", "SORT", "GROUP", "PUBLIC"}
    ),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s;&|"']+)"""
_LITERAL = re.compile(  # repetitions are bounded: a long text must not take long
    rf"""://(?P<user>[^/\s:@]{{0,100}}):(?P<password>[^/\s@]{{1,500}})@"""  # in a URL
    rf"""|(?<![\w.])(?P<name>[A-Za-z_][\w.-]{{0,100}}+)(?:=|["']\s?:\s?)(?P<value>{_VALUE})"""  # NAME=value, "name": value
    rf"""|(?<![\w-])--?(?P<flag>[A-Za-z][\w.-]{{0,100}}+)\s{{1,9}}(?!-)(?P<after>{_VALUE})"""  # --name value, in a script
)


class Literal(NamedTuple):
    """A secret as it stands in the manifest."""

    path: str  # below `spec`
    name: str  # of the variable in which whoever repeats a trial gives it
    value: str


Swap = Callable[[Literal], str]


def literals(spec: Mapping[str, Any]) -> list[Literal]:
    """All of them, in a spec as it is written; those that are withheld already have the value WITHHELD."""
    found: list[Literal] = []

    def keep(literal: Literal) -> str:
        found.append(literal)
        return literal.value

    rewritten(spec, keep)
    return found


def withheld(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the values of secrets."""
    return rewritten(spec, lambda _: WITHHELD)


def given(spec: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The same with what is withheld put in, as far as there are values of that name."""
    return rewritten(spec, lambda s: values.get(s.name, s.value) if s.value == WITHHELD else s.value)


def rewritten(spec: Mapping[str, Any], swap: Swap) -> dict[str, Any]:
    """The spec with another text for each secret in how trials run. The search holds none."""
    return {key: _any(value, key, swap) if key in ("job", "trainer") else value for key, value in spec.items()}


def is_secret(name: str) -> bool:
    """Whether a name calls its value a secret: `HF_TOKEN`, `--api-key`, `db.password`; not `max_tokens`, `TOKEN_FILE`."""
    words = [word.upper() for word in _WORD.findall(name)]
    if not words or words[-1] in _HARMLESS_ENDS or _HARMLESS.get(words[-1], frozenset()).intersection(words):
        return False
    return any(word in _WORDS or _NAMES.fullmatch(word) for word in words)


# ---- the walk ----------------------------------------------------------------------------------------------------------


def _any(value: Any, path: str, swap: Swap) -> Any:
    if isinstance(value, list):
        return [_any(item, f"{path}[{i}]", swap) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):  # env, and headers of probes
        return {**value, "value": _named(value["name"], value["value"], f"{path}.value", swap)}
    return {key: _member(key, item, f"{path}.{key}", swap) for key, item in value.items()}


def _member(key: str, value: Any, path: str, swap: Swap) -> Any:
    if key in ("command", "args") and isinstance(value, list):
        return list(_words(value, path, swap))
    if key in ("annotations", "settings"):
        return _setting(key, value, path, swap)
    return _any(value, path, swap)


def _setting(key: str, value: Any, path: str, swap: Swap) -> Any:
    if isinstance(value, dict):
        return {k: _setting(k, v, f"{path}.{k}", swap) for k, v in value.items()}
    return _named(key.rpartition("/")[2], value, path, swap) if isinstance(value, str) else _any(value, path, swap)


def _words(words: list[Any], path: str, swap: Swap) -> Iterator[Any]:
    """A command's words. A flag's value may be the word after it."""
    flag = ""
    for i, word in enumerate(words):
        at, is_flag = f"{path}[{i}]", isinstance(word, str) and word.startswith("-")
        if not isinstance(word, str):
            yield word
        elif flag and not is_flag and is_secret(flag):
            yield _named(flag, word, at, swap)
        else:
            yield _text(word, at, swap)
        flag = word.lstrip("-") if is_flag and "=" not in word else ""


def _named(name: str, value: str, path: str, swap: Swap) -> str:
    if value.startswith("$") or not value:
        return value
    secret = is_secret(name) or value == WITHHELD
    return swap(Literal(path, _variable(name), value)) if secret else _text(value, path, swap)


def _text(text: str, path: str, swap: Swap) -> str:
    def swapped(found: re.Match[str]) -> str:
        kind = next(group for group in ("password", "value", "after") if found[group] is not None)
        name = found["name"] or found["flag"] or f"{found['user'] or 'URL'}_PASSWORD"
        quoted = found[kind][0] in "\"'"
        value, start = found[kind][quoted : -1 if quoted else None], found.start(kind) - found.start() + quoted
        if value.startswith("$") or not value:
            return found[0]
        secret = is_secret(name) or kind == "password" or value == WITHHELD
        # What has a harmless name may still be a URL with a password, or a script in quotes.
        new = swap(Literal(path, _variable(name), value)) if secret else _text(value, path, swap)
        return found[0][:start] + new + found[0][start + len(value) :]

    return _LITERAL.sub(swapped, text)


def _variable(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").upper()
