"""The colours of the command line: readable on any terminal, and red only if something is wrong."""

from __future__ import annotations

import io

import pytest
from rich.color import Color
from rich.console import Console, RenderableType

from stentor.cli import styles
from stentor.cli.live import account, view
from stentor.recording.rates import LaneRates
from tests.unit.cli.moments import progress, report

READABLE = 3.0
"""The contrast that WCAG 2.2 (1.4.11) asks of what carries meaning."""
ALL = {name: value for name, value in vars(styles).items() if name.isupper()}


def light(color: Color) -> float:
    """Relative luminance, by WCAG."""
    parts = [part / 255 for part in color.get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ALL)
def test_a_color_is_readable_on_black_and_on_white(name: str) -> None:
    color = Color.parse(ALL[name])
    assert color.number is not None
    assert color.number >= 16, "the first sixteen are whatever a terminal makes of them"
    assert 1.05 / (light(color) + 0.05) >= READABLE
    assert (light(color) + 0.05) / 0.05 >= READABLE


def colors(shown: RenderableType) -> set[str]:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="256", width=80)
    styled = [segment.style for segment in console.render(shown) if segment.style is not None]
    return {style.color.name for style in styled if style.color is not None}


def test_nothing_is_red_while_all_is_well() -> None:
    pace = LaneRates()
    for moment in (progress(1000, 0), progress(100_000, 1)):
        pace.add(moment)
    assert colors(view(moment, pace)) == {styles.GOOD, styles.REST}
    assert colors(account(report())) == {styles.GOOD}


def test_what_is_wrong_is_red() -> None:
    assert styles.BAD in colors(view(progress(1000, 0, problem=True), LaneRates()))
