"""Puts the diagram of the states into `docs/campaigns.md`, from the table of moves: `python docs/render_states.py`.

A test fails when the page and the table differ.
"""

from __future__ import annotations

import re
from pathlib import Path

from stentor.states import mermaid

PAGE = Path(__file__).with_name("campaigns.md")
DIAGRAM = re.compile(r"(?<=```mermaid\n).*?(?=\n```)", re.DOTALL)


def page(text: str) -> str:
    """The page with the diagram as it should be."""
    return DIAGRAM.sub(mermaid(), text, count=1)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
