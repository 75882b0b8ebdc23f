"""A timing as a form has it, and the timing that a form means. Rules that have no effect are left out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import msgspec

from stentor.dashboard.form import Form
from stentor.errors import InvalidConfiguration, InvalidInput
from stentor.planning.contract import NOW, SKIP, Timing
from stentor.runtime.written import duration

PREFIX = "timing."
"""Of the fields' names."""
PASTS = (
    ("", "don't start if it is past for anybody"),
    ("tomorrow", "they get it the next day"),
    ("now", "they get it at once"),
    ("skip", "they get nothing"),
)
NO_ZONES = (
    ("", "don't start if there are any"),
    ("zone", "as in the time zone below"),
    ("now", "they get it at once"),
    ("skip", "they get nothing"),
)
THENS = (("hold", "they get it when these end"), ("expire", "they get nothing"))
"""What can be chosen: the value, and what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingForm:
    """What is in the fields."""

    local_at: str = ""
    """As a browser writes a date and a time."""
    past: str = ""
    no_zone: str = ""
    """`skip`, `now`, or `zone`: then that is in `stand_in`."""
    stand_in: str = ""
    quiet_from: str = ""
    quiet_to: str = ""
    quiet_then: str = "hold"
    spread: str = ""
    canary: str = ""
    """Percent."""

    def timing(self, stored: Timing) -> Timing:
        """What the form means.

        Args:
            stored: the timing that it changes. What the form has no field for stays.

        Raises: InvalidInput: names the field.
        """
        if self == form_of_timing(stored):
            return stored
        quiet = f"{self.quiet_from}-{self.quiet_to}" if self.quiet_from or self.quiet_to else None
        past = _one_of(self.past, PASTS) if self.local_at else None
        made = Timing(
            local_at=self.local_at or None,
            past=past,  # type: ignore[arg-type]  # it was looked up in PASTS
            past_share=stored.past_share if self.local_at and past is None else 0.0,
            quiet_hours=quiet,
            quiet_then="expire" if quiet and self.quiet_then == "expire" else "hold",
            spread=self._spread(),
            canary=self._canary(),
            hold=stored.hold,
        )
        return msgspec.structs.replace(made, no_zone=self._no_zone()) if made.needs_zone else made

    def _no_zone(self) -> str | None:
        if self.no_zone == "zone" and not self.stand_in:
            raise InvalidInput(f"{PREFIX}no_zone", "write a time zone such as Europe/Berlin below")
        return self.stand_in if self.no_zone == "zone" else _one_of(self.no_zone, NO_ZONES)

    def _spread(self) -> float:
        if not self.spread:
            return 0.0
        try:
            return duration("", self.spread)
        except InvalidConfiguration:
            raise InvalidInput(f"{PREFIX}spread", "is not a duration; write e.g. 90m or 2h") from None

    def _canary(self) -> float:
        if not self.canary:
            return 0.0
        try:
            return float(self.canary.removesuffix("%").strip().replace(",", ".")) / 100
        except ValueError:
            raise InvalidInput(f"{PREFIX}canary", "must be a number of percent, such as 1") from None


def form_of_timing(timing: Timing) -> TimingForm:
    """The form of a timing that is stored."""
    wall, quiet = timing.wall, timing.quiet
    is_rule = timing.no_zone in (None, SKIP, NOW)
    return TimingForm(
        local_at="" if wall is None else f"{wall:%Y-%m-%dT%H:%M}",
        past=timing.past or "",
        no_zone=timing.no_zone or "" if is_rule else "zone",
        stand_in="" if is_rule else timing.no_zone or "",
        quiet_from="" if quiet is None else f"{quiet.begin:%H:%M}",
        quiet_to="" if quiet is None else f"{quiet.end:%H:%M}",
        quiet_then=timing.quiet_then,
        spread=_duration(timing.spread),
        canary=f"{timing.canary * 100:g}" if timing.canary else "",
    )


def read_timing(form: Form) -> TimingForm:
    """The form that somebody filled in."""
    given = {each.name: form.get(f"{PREFIX}{each.name}") for each in fields(TimingForm)}
    return TimingForm(**{**given, "quiet_then": given["quiet_then"] or "hold"})


def _one_of(value: str, known: tuple[tuple[str, str], ...]) -> str | None:
    return value if value and value in dict(known) else None


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds and not seconds % size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else ""
