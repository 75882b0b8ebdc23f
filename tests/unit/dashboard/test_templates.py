"""How times are written, and that the style and the script know the names that pages use."""

from __future__ import annotations

import re
from pathlib import Path

import stentor.dashboard
from stentor.dashboard.templates import clock, moment

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
