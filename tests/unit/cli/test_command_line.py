"""The page about the command line is the command line: every command, every option, and every field of its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docs.render_command_line import page
from tests.unit.cli.fake_stentor import Command

PAGE = Path(__file__).parents[3] / "docs" / "command-line.md"
HELLO = ("send", "--title", "Hello", "--audience", "users", "--yes")


def test_the_page_is_the_commands() -> None:
    assert PAGE.read_text() == page(), "run `python docs/render_command_line.py > docs/command-line.md`"


def test_every_field_of_the_json_is_explained(stentor: Command) -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    for arguments in (
        ("campaign", "pause", "last"),
        HELLO,
        (*HELLO, "--dry-run"),
        (*HELLO, "--detach"),
        ("drain",),
        *(("campaign", verb, "last") for verb in ("show", "watch", "audit", "failures")),
        ("campaign", "list"),
        ("campaign", "explain", "last", "user-0"),
    ):
        done = stentor(*arguments, "--json")
        found = json.loads(done.stdout.splitlines()[0])
        assert set(found) - explained == set(), arguments
