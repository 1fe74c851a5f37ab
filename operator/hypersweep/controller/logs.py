"""Structured logs: one JSON object a line, with the sweep and the trial where there is one."""

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

sweep: contextvars.ContextVar[str] = contextvars.ContextVar(
    "sweep", default=""
)  # namespace/name; set once in each sweep's task

_EXTRA = ("trial", "attempt", "value", "run", "by", "trials", "experiment", "resource", "seconds")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if sweep.get():
            line["sweep"] = sweep.get()
        line |= {key: getattr(record, key) for key in _EXTRA if hasattr(record, key)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        where = f" [{sweep.get()}{f' trial {record.trial}' if hasattr(record, 'trial') else ''}]" if sweep.get() else ""
        record.msg = f"{where.strip()} {record.msg}".strip()
        return super().format(record)


def configure(*, form: Literal["json", "text"], level: int = logging.INFO) -> None:
    """Send all logs to stderr in this form; libraries are heard from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("hypersweep").setLevel(level)
