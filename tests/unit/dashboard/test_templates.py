"""How times are written, and that the style and the script know the names that pages use."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import stentor.dashboard
from stentor.access.password_rules import SHORTEST
from stentor.dashboard.assets import Assets
from stentor.dashboard.templates import Templates, clock, moment, rate

STATIC = Path(stentor.dashboard.__file__).parent / "static"


def test_a_time_of_day_has_seconds_and_a_moment_has_its_date() -> None:
    assert clock(1_700_000_001.9) == '<time datetime="2023-11-14T22:13:21+00:00" class="clock">22:13:21 UTC</time>'
    assert moment(1_700_000_001) == '<time datetime="2023-11-14T22:13:21+00:00">14 Nov 2023, 22:13 UTC</time>'
    assert moment(None) == "–"


def test_the_script_shows_a_time_of_day_with_seconds() -> None:
    script = (STATIC / "stentor.js").read_text()
    assert 'classList.contains("clock")' in script
    assert 'timeStyle: "medium"' in script


def test_a_link_of_the_menu_stays_on_one_line() -> None:
    rule = re.search(r"^\.bar nav a \{([^}]*)\}", (STATIC / "stentor.css").read_text(), re.MULTILINE)
    assert rule is not None
    assert "white-space: nowrap" in rule[1]


def test_a_limit_is_written_as_it_is() -> None:
    assert [rate(each) for each in (600.0, 0.5, 1_000_000.0, 12.25)] == ["600", "0.5", "1,000,000", "12.25"]
    pages = "".join(each.read_text() for each in (STATIC.parent / "templates").rglob("*.html"))
    assert re.findall(r"max_rate(?:\|(\w+))? }} a second", pages) == ["rate"] * 3


class Inputs(HTMLParser):
    """The attributes of a page's fields."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input":
            self.found.append(dict(attrs))


def test_a_field_is_required_and_screen_readers_hear_what_it_is_for() -> None:
    parts: Any = Templates(Assets())._environment.get_template("parts.html").module
    inputs = Inputs()
    inputs.feed(parts.field("a", "A", required=True, hint="What for", attributes={"maxlength": "9"}))
    inputs.feed(parts.field("b", "B", required=True, error="wrong"))
    inputs.feed(parts.field("c", "C"))
    always = {"type": "text", "value": "", "autocomplete": "off"}
    assert inputs.found == [
        {"id": "a", "name": "a", **always, "required": None, "aria-describedby": "a-about", "maxlength": "9"},
        {"id": "b", "name": "b", **always, "required": None, "aria-describedby": "b-about", "aria-invalid": "true"},
        {"id": "c", "name": "c", **always},
    ]


@pytest.mark.parametrize("name", ["link.html", "account.html"])
def test_where_a_password_is_chosen_its_length_is_said(name: str) -> None:
    page = (STATIC.parent / "templates" / name).read_text()
    assert f'hint="{SHORTEST} characters or more. ' in page
