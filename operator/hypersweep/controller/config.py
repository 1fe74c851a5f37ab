"""The operator's own configuration: what an administrator decides, not a tenant. Read once, at start."""

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.spec import Model, SweepSpec
from hypersweep.core.wording import shown


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
    credentials: Path | None = Field(None, description="Directory with `token`, or `username` and `password`.")

    def allows(self, namespace: str) -> bool:
        """Whether sweeps of that namespace may use the server."""
        return "*" in self.namespaces or namespace in self.namespaces

    def unreadable(self, spec: SweepSpec, namespace: str) -> list[Problem]:
        """The experiments that the sweep wants to learn from, and sweeps of that namespace may not."""
        allowed = [pattern.replace("{namespace}", namespace) for pattern in self.readable_experiments]
        return [
            Problem(
                f"spec.warmStart[{i}].experiment",
                f"found {shown(source.experiment)}; allowed for namespace {namespace}: {', '.join(allowed) or 'none'}",
            )
            for i, source in enumerate(spec.warm_start)
            if not any(_like(source.experiment, pattern) for pattern in allowed)
        ]


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


def _like(name: str, pattern: str) -> bool:
    """Whether `*` in the pattern may stand for text such that it is the name."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def load(path: Path) -> Config:
    """The configuration in a YAML file. SpecError says what is wrong in it; OSError when it can't be read."""
    try:
        return Config.model_validate(yaml.safe_load(path.read_text()) or {})
    except ValidationError as error:
        problems = [
            Problem(".".join(str(p) for p in e["loc"]), f"{e['msg']} (found {e['input']!r})") for e in error.errors()
        ]
        raise SpecError(problems) from None
    except yaml.YAMLError as error:
        raise SpecError([Problem(str(path), str(error))]) from None
