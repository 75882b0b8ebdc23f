"""The pages' templates, and how values are written in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from stentor.counted import counted
from stentor.dashboard.assets import Assets
from stentor.words import countdown, instant, lane_name, lasted, roughly, share


class Templates:
    """Renders templates of this package. A name that has no value is an error, not an empty place."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(str(files(__package__) / "templates")),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {"asset": assets.address, "counted": counted, "share": share}
        self._environment.filters |= {
            "number": number,
            "rate": rate,
            "moment": moment,
            "clock": clock,
            "lasted": lasted,
            "countdown": countdown,
            "lane": lane_name,
            "instant": instant,
            "roughly": roughly,
        }

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(values)


def number(value: float) -> str:
    """With thousands apart, as the command line writes it: `1,234,567`."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Pushes a second, which may be less than one: `1,000`, `0.5`."""
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def moment(at: float | None, otherwise: str = "–") -> str | Markup:
    """A time for people, in epoch seconds. The browser shows it as the time of day where the reader is."""
    if at is None:
        return otherwise
    when = datetime.fromtimestamp(at, UTC)
    return _time(when, f"{when.day} {when:%b %Y, %H:%M} UTC")


def clock(at: float) -> Markup:
    """A time of day to the second, in epoch seconds; the browser shows it as that of where the reader is."""
    when = datetime.fromtimestamp(at, UTC)
    return _time(when, f"{when:%H:%M:%S} UTC", Markup(' class="clock"'))


def _time(when: datetime, shown: str, attributes: str = "") -> Markup:
    return Markup('<time datetime="{}"{}>{}</time>').format(when.isoformat(timespec="seconds"), attributes, shown)
