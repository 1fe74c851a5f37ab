"""What a rule between fields is: one verdict, in CEL for the API server and in Python for every other reader.

In a message `{field}` stands for what was found there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypersweep.core.errors import Problem
from hypersweep.core.spec import Model


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of an object.

    `field` is where the fault is shown; `on` is the field that the CEL calls `self`, where that is not the object;
    `found` is CEL for what the message ends with.
    """

    cel: str
    message: str
    field: str = ""
    on: str = ""
    holds: Callable[[Any], bool] = lambda _: True
    offenders: Callable[[Any], list[tuple[str, str]]] | None = (
        None  # (path below the object, message) of each, for lists
    )
    found: str = ""
    reason: str = ""  # of the API server's error, where it is not "Invalid value"

    def problems(self, part: Model, path: str) -> list[Problem]:
        """What the rule has against this part of a spec."""
        if self.offenders is not None:
            return [Problem(f"{path}.{where}", message) for where, message in self.offenders(part)]
        return [] if self.holds(part) else [Problem(f"{path}.{self.field}" if self.field else path, self._told(part))]

    def _told(self, part: Model) -> str:
        values = {str(info.alias): told(getattr(part, key)) for key, info in type(part).model_fields.items()}
        return self.message.format_map(values)


def told(value: Any) -> str:
    """A found value in a message: whole numbers without a point."""
    return f"{value:.17g}" if isinstance(value, float) and value.is_integer() else str(value)
