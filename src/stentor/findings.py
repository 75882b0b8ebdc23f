"""What comes of a check, for `stentor doctor`: a finding, good or bad, with its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one check."""

    check: str
    """What was looked at: `store`, `audiences.users`, `apps.ios: key`; of what a lane finds, the last word alone."""
    status: Status = Status.OK
    detail: str
    remedy: str = ""
    """What to do; nothing where all is well."""


def problem(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check=check, status=Status.PROBLEM, detail=detail, remedy=remedy)


def warning(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check=check, status=Status.WARNING, detail=detail, remedy=remedy)
