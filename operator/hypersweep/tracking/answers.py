"""What an HTTP answer from a tracking server means: its JSON, or which of our errors. Pure.

Between the operator and MLflow stand ingresses, proxies and login pages. What is not MLflow's JSON says nothing about a
run, so a 404 page of an ingress must not read as "the run is gone": it is transient, like any 5xx.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking import wire
from hypersweep.tracking.base import Metric, Run, Version

T = TypeVar("T")

TOLD = 300  # characters of an answer that go into a message
TRANSIENT = (408, 425, 429)
# MLflow answers 400 to some troubles of its own database.
TRANSIENT_MESSAGES = ("QueuePool", "database is locked")


class Denied(TrackingRefused):
    """The server refuses us, whatever we ask: credentials, or an address that is not its own."""


def read(status: int, text: str, *, location: str = "", silent: bool = False) -> dict[str, Any]:
    """The answer's JSON object (`silent`: MLflow may say nothing at all). Raises the error that the answer amounts to."""
    if 300 <= status < 400:
        raise Denied(
            f"HTTP {status}: redirects to {location or 'nowhere'}; redirects are not followed, name the final address"
        )
    if status in (401, 403):
        raise Denied(f"HTTP {status}: {shown(text)}")
    body = {} if silent and status == 200 and not text else _object(text)
    if status < 300 and body is not None:
        return body
    if status >= 500 or status in TRANSIENT or body is None:
        raise TrackingUnavailable(f"HTTP {status}{' without JSON' if body is None else ''}: {_message(body, text)}")
    message = f"HTTP {status}: {_message(body, text)}"
    if any(sign in text for sign in TRANSIENT_MESSAGES):
        raise TrackingUnavailable(message)
    if status == 404 or body.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
        raise TrackingNotFound(message)
    raise TrackingRefused(message)


def field(body: Mapping[str, Any], name: str) -> Any:
    """A field that MLflow never leaves out."""
    try:
        return body[name]
    except (KeyError, TypeError):
        raise TrackingUnavailable(f"not an answer of MLflow: {name} is missing in {shown(str(body))}") from None


def run(data: Any) -> Run:
    return _parsed(wire.run, data)


def metric(data: Any) -> Metric:
    return _parsed(wire.metric, data)


def version(data: Any) -> Version:
    return _parsed(wire.version, data)


def _parsed(parse: Callable[[Any], T], data: Any) -> T:
    try:
        return parse(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrackingUnavailable(f"not an answer of MLflow: {error!r} in {shown(str(data))}") from None


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _message(body: dict[str, Any] | None, text: str) -> str:
    if body is None:
        return shown(text)
    said = " ".join(str(body[key]) for key in ("error_code", "message") if body.get(key))
    return shown(said or text)


def shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TOLD else f"{line[:TOLD]}…"
