"""The operator's own configuration: what an administrator decides, not a tenant. Read once, at start."""

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.spec import Model, SweepSpec
from hypersweep.core.wording import shown
from hypersweep.tracking.rest import address


class TrackingServer(Model):
    """An MLflow server that sweeps may name."""

    name: str = "default"
    uri: str = Field(description="Where the operator reaches it.")
    trial_uri: str | None = Field(None, description="Where trials reach it, when that differs.")
    ui_uri: str | None = Field(None, alias="uiUrl", description="Where people reach its pages, when that differs.")
    namespaces: tuple[str, ...] = Field(("*",), description="Namespaces whose sweeps may name it; * is all.")
    readable_experiments: tuple[str, ...] = Field(
        ("{namespace}/*",),
        description="Experiments that sweeps may learn from; {namespace} is the sweep's, * any text.",
    )
    registrable_models: tuple[str, ...] = Field(
        ("{namespace}.*",),
        description="Registered models that sweeps may add versions to, and move aliases of; likewise. No namespace has a dot in "
        "its name, so that by default none can take another's.",
    )
    credentials: Path | None = Field(None, description="Directory with `token`, or `username` and `password`.")

    @field_validator("uri")
    @classmethod
    def _is_one(cls, uri: str) -> str:
        return address(uri)

    def allows(self, namespace: str) -> bool:
        """Whether sweeps of that namespace may use the server."""
        return "*" in self.namespaces or namespace in self.namespaces

    def forbidden(self, spec: SweepSpec, namespace: str) -> list[Problem]:
        """What the sweep wants to learn from, or to register, and sweeps of that namespace may not."""
        found = [
            _unlike(f"spec.warmStart[{i}].experiment", source.experiment, self.readable_experiments, namespace)
            for i, source in enumerate(spec.warm_start)
        ]
        if (wanted := spec.on_complete) is not None:
            path = "spec.onComplete.registerModel"
            found.append(_unlike(path, wanted.register_model, self.registrable_models, namespace))
        return [problem for problem in found if problem is not None]


class Config(Model):
    """Everything that the operator is told at start."""

    namespaces: tuple[str, ...] = Field((), description="Watched namespaces; none: the operator's own; *: all.")
    trainer_image: str = "hypersweep-trainer:0.1.0"
    tracking_servers: tuple[TrackingServer, ...] = ()
    log_format: Literal["json", "text"] = "json"
    port: int = 8080

    def server(self, name: str, namespace: str) -> TrackingServer:
        """The tracking server that a sweep names. SpecError when there is none for its namespace."""
        allowed = [s for s in self.tracking_servers if s.allows(namespace)]
        for server in allowed:
            if server.name == name:
                return server
        names = ", ".join(sorted(s.name for s in allowed)) or "none"
        raise SpecError(
            [Problem("spec.tracking.server", f"no server {name!r} for namespace {namespace}; there are: {names}")]
        )


def _told(found: ErrorDetails) -> str:
    """What pydantic found; where the words are ours they say it all, and a URI may hold a password."""
    if found["type"] == "value_error":
        return found["msg"].removeprefix("Value error, ")
    return f"{found['msg']} (found {found['input']!r})"


def _unlike(path: str, name: str, patterns: tuple[str, ...], namespace: str) -> Problem | None:
    """What is wrong with a name that none of the patterns allows."""
    allowed = [pattern.replace("{namespace}", namespace) for pattern in patterns]
    if any(_like(name, pattern) for pattern in allowed):
        return None
    return Problem(path, f"found {shown(name)}; allowed for namespace {namespace}: {', '.join(allowed) or 'none'}")


def _like(name: str, pattern: str) -> bool:
    """Whether `*` in the pattern may stand for text such that it is the name."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def load(path: Path) -> Config:
    """The configuration in a YAML file. SpecError says what is wrong in it; OSError when it can't be read."""
    try:
        return Config.model_validate(yaml.safe_load(path.read_text()) or {})
    except ValidationError as error:
        raise SpecError([Problem(".".join(map(str, e["loc"])), _told(e)) for e in error.errors()]) from None
    except yaml.YAMLError as error:
        raise SpecError([Problem(str(path), str(error))]) from None
