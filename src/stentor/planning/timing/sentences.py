"""A timing in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stentor.planning.contract import NOW, SKIP, Timing

_PASTS: Mapping[str | None, str] = MappingProxyType(
    {
        "now": ", at once if that is past",
        "tomorrow": ", the next day if that is past",
        "skip": ", nothing if that is past",
    }
)


def described_timing(timing: Timing) -> str:
    """When each recipient gets it, in a line; empty: everybody at once."""
    return "; ".join(_parts(timing))


def _parts(timing: Timing) -> list[str]:
    said = []
    if timing.local_at is not None:
        said.append(f"at {timing.local_at.replace('T', ' ')} on each recipient's clock{_PASTS.get(timing.past, '')}")
    if timing.quiet_hours is not None:
        held = "then sent when they end" if timing.quiet_then == "hold" else "who falls into them gets nothing"
        said.append(f"quiet hours {timing.quiet_hours}, {held}")
    if timing.needs_zone and timing.no_zone is not None:
        rule = {NOW: "at once", SKIP: "nothing"}.get(timing.no_zone, f"as in {timing.no_zone}")
        said.append(f"without a time zone {rule}")
    if timing.spread:
        said.append(f"spread over {_length(timing.spread)}")
    if timing.canary:
        said.append(f"{timing.canary * 100:g} % first, the others wait to be released")
    if timing.hold:
        said.append("everybody waits to be released")
    return said


def _length(seconds: float) -> str:
    """`90 s`, `15 min`, `2 h`: in the largest unit that has it whole."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and not seconds % size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
