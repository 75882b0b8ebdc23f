"""The options that say when each recipient gets a message, and the timing that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated, Any, Literal

import typer

from stentor.cli.expanding import expanded
from stentor.errors import InvalidConfiguration, InvalidInput
from stentor.planning.contract import Timing
from stentor.runtime.written import duration, share

LocalAt = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Send at this time on each recipient's own clock, e.g. 2030-01-31T18:00 (docs/timing.md).",
    ),
]
NoZone = Annotated[
    str | None,
    typer.Option(
        "--no-zone",
        metavar="RULE",
        help="What happens to recipients without a known time zone: `skip`, `now`, or a zone such as Europe/Berlin.",
    ),
]
Past = Annotated[
    Literal["now", "skip", "tomorrow"] | None,
    typer.Option(help="What happens to recipients for whom --local-at is past when the campaign starts."),
]
PastShare = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE", help="Start without --past if at most this share is past, e.g. 2%. They are left out."
    ),
]
QuietHours = Annotated[
    str | None,
    typer.Option(metavar="HOURS", help="Send nothing in these hours on the recipient's clock, e.g. 22:00-08:00."),
]
QuietThen = Annotated[
    Literal["hold", "expire"] | None,
    typer.Option(help="What happens to those whose time is in the quiet hours: `hold` (wait) or `expire` (left out)."),
]
Spread = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Spread the recipients evenly over this long, e.g. 2h.")
]
Canary = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Send to this share first, e.g. 1%. The others wait until you release them."),
]
_OPTIONS: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "local_at": (LocalAt, None),
        "no_zone": (NoZone, None),
        "past": (Past, None),
        "past_share": (PastShare, None),
        "quiet_hours": (QuietHours, None),
        "quiet_then": (QuietThen, None),
        "spread": (Spread, None),
        "canary": (Canary, None),
    }
)
"""The type and the default of each option that stands for a field of the timing."""
_READ: Mapping[str, Callable[[str, str], float]] = MappingProxyType(
    {"past_share": share, "spread": duration, "canary": share}
)
"""How those are read that are no texts."""


def takes_timing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options in the place of its parameter `timing`, which is then what they make."""
    return expanded(command, "timing", _OPTIONS, timing_of)


def timing_of(options: Mapping[str, Any]) -> Timing:
    """The timing that the options make.

    Raises:
        InvalidConfiguration: one cannot be read or meant.
    """
    given = {name: value for name, value in options.items() if value is not None}
    read: dict[str, Any] = {
        name: _READ[name](_option(name), value) if name in _READ else value for name, value in given.items()
    }
    timing = Timing(**read)
    with naming_options():
        timing.check()
    return timing


@contextmanager
def naming_options() -> Iterator[None]:
    """What is found wrong with a timing is said of the option that it came from."""
    try:
        yield
    except InvalidInput as error:
        place, _, name = error.field.partition(".")
        if place != "timing" or name not in _OPTIONS:
            raise
        raise InvalidConfiguration(f"{_option(name)}: {_with_options(error.problem)}") from None


def _with_options(problem: str) -> str:
    """With the names of options where the names of fields stand."""
    for name in _OPTIONS:
        problem = problem.replace(f"`{name}`", _option(name))
    return problem


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
