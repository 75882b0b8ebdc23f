"""Whom a campaign is for, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from stentor.audience.contract import Condition, Selection

LONGEST = 200
"""Characters of a segment that are told."""


def shortened(segment: str) -> str:
    return segment if len(segment) <= LONGEST else f"{segment[: LONGEST - 1]}…"


def described(selection: Selection) -> str:
    """Whom a campaign is for, in a few words."""
    if selection.reached_by is not None:
        return f"everybody reached by {selection.reached_by}"
    parts = [selection.source]
    parts += [_said(column, wanted) for column, wanted in selection.filters.items()]
    if selection.segment_name is not None:
        parts.append(f"segment {selection.segment_name}")
    elif selection.segment is not None:
        parts.append(shortened(selection.segment))
    if selection.only is not None:
        parts.append(f"only {len(selection.only)} named")
    if selection.failed_of is not None:
        why = f" for {' or '.join(selection.reasons)}" if selection.reasons else ""
        parts.append(f"not reached by {selection.failed_of}{why}")
    return ", ".join(parts)


def _said(column: str, wanted: Sequence[str] | Condition) -> str:
    if not isinstance(wanted, Condition):
        return f"{column} = {' or '.join(wanted)}"
    some = [*wanted.values, *(f"{prefix}…" for prefix in wanted.prefixes)]
    parts = [f"{column} = {' or '.join(some)}"] if some else []
    if wanted.none_of:
        parts.append(f"{column} not {' or '.join(wanted.none_of)}")
    return " and ".join(parts)
