"""What a process logs: a line a record on stderr, as text or as JSON.

Rules: a module logs by `logging.getLogger(__name__)`, and gives as `extra` what programs should find as fields of their
own. A line never has a secret or a device's whole address: what looks like one is cut short, wherever it comes from.
Libraries are heard from `warning` up, whatever the level, as some log the values in their statements below that.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from stentor.config import LoggingConfig

MARK = "\x1e"
"""What a line of the log begins with that a worker writes for its supervisor: all else on its stderr are last words."""
SHOWN = 6
"""Characters that are left of what looks like a secret."""
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LONG = re.compile(r"[A-Za-z0-9_+%=:~-]{40,}")
"""Device tokens, keys, signatures; the ids and names that people choose are shorter, and words have no digit."""
_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})
"""What every record has."""


def start_logging(name: str, config: LoggingConfig, *, marked: bool = False) -> None:
    """Have this process log as the settings say, and by name.

    Args:
        name: what it is: a role, say.
        marked: begin each line with `MARK`.
    """
    handler = _ToStderr()
    handler.setFormatter(_Formatter(name, as_json=config.format == "json", mark=MARK if marked else ""))
    level = (config.level or "info").upper()
    handler.setLevel(level)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("stentor").setLevel(level)
    logging.captureWarnings(True)


def safe(text: str) -> str:
    """`text`, with whatever looks like a secret or a device's address cut short."""
    return _LONG.sub(_shorten, _USER.sub("…", text))


def _safe_value(value: object) -> object:
    """A field as JSON may have it, with all its texts `safe`."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {safe(str(name)): _safe_value(each) for name, each in value.items()}
        case list() | tuple():
            return [_safe_value(each) for each in value]
        case _:
            return safe(str(value))


def _shorten(found: re.Match[str]) -> str:
    text = found.group()
    return f"{text[:SHOWN]}…" if any(character.isdigit() for character in text) else text


class _ToStderr(logging.StreamHandler[Any]):
    """To stderr as it is at the moment: a live view puts its own in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


class _Formatter(logging.Formatter):
    """A record is a line, whatever is in it."""

    def __init__(self, name: str, *, as_json: bool, mark: str) -> None:
        super().__init__(f"%(asctime)s {name}[%(process)d] %(levelname)s %(message)s")
        self._name = name
        self._as_json = as_json
        self._mark = mark

    def format(self, record: logging.LogRecord) -> str:
        line = self._json(record) if self._as_json else " ".join(safe(super().format(record)).splitlines())
        return self._mark + line

    def _json(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._name,
            "pid": record.process,
            "logger": record.name,
            "message": safe(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _OWN:
                facts[name] = _safe_value(value)
        if record.exc_info:
            facts["exception"] = safe(self.formatException(record.exc_info))
        return msgspec.json.encode(facts).decode()
