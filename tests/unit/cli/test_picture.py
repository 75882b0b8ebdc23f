"""The README's picture is the live view as it is."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from docs.render_picture import picture

ROOT = Path(__file__).parents[3]


def test_the_picture_is_current() -> None:
    drawn = (ROOT / "docs" / "live-view.svg").read_text("utf-8")
    assert drawn == picture(), "run `python docs/render_picture.py > docs/live-view.svg`"
    assert "](docs/live-view.svg)" in (ROOT / "README.md").read_text("utf-8")


def test_it_can_be_shown_anywhere() -> None:
    """It is well-formed, and fetches nothing."""
    drawn = picture()
    text = "".join(ElementTree.fromstring(drawn).itertext())
    for part in ("Spring", "fcm/android", "accepted"):
        assert part in text
    assert "url(http" not in drawn.replace('"', "")
