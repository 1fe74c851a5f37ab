"""`kubectl` and `helm` as callables bound to one kubeconfig: what tests use to speak as a user would.

They raise on failure with what the tool said. They hold no state and open no connection of their own.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import paths

SECONDS = 60.0


class ToolError(Exception):
    """A command-line tool exited with an error; `stderr` holds what it said, `code` its exit code."""

    def __init__(self, command: list[str], code: int, stderr: str) -> None:
        super().__init__(f"{' '.join(command)}: exit code {code}: {stderr.strip()}")
        self.code = code
        self.stderr = stderr


@dataclass(frozen=True)
class Tool:
    """A built binary bound to a kubeconfig and, if given, to a namespace.

    `tool("get", "pods")` runs it and returns its standard output.
    """

    name: str
    kubeconfig: Path
    namespace: str | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
        """Run the tool with `arguments` and return its standard output.

        Raises:
            ToolError: it exited with an error.
            subprocess.TimeoutExpired: it took longer than `seconds`.
        """
        scope = ["--namespace", self.namespace] if self.namespace else []
        command = [paths.binary(self.name), *scope, *arguments]
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if done.returncode != 0:
            raise ToolError([self.name, *scope, *arguments], done.returncode, done.stderr)
        return done.stdout


class Kubectl(Tool):
    """`kubectl`, with the three things tests do most."""

    def __init__(self, kubeconfig: Path, namespace: str | None = None) -> None:
        super().__init__("kubectl", kubeconfig, namespace)

    def within(self, namespace: str) -> "Kubectl":
        """The same, bound to `namespace`."""
        return Kubectl(self.kubeconfig, namespace)

    def json(self, *arguments: str) -> Any:
        """`kubectl ARGUMENTS -o json`, parsed; `None` if it printed nothing (`--ignore-not-found`)."""
        printed = self(*arguments, "-o", "json")
        return json.loads(printed) if printed.strip() else None

    def apply(self, *objects: Mapping[str, Any] | str, flags: tuple[str, ...] = ()) -> str:
        """`kubectl apply -f -` of objects or YAML texts, all in one call."""
        texts = [item if isinstance(item, str) else yaml.safe_dump(dict(item)) for item in objects]
        return self("apply", "-f", "-", *flags, stdin="\n---\n".join(texts))
