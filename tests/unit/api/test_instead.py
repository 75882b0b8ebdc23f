"""Whoever asks over the API is told of operations, and of no command that they don't have."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from stentor.api.document import document
from stentor.api.instead import for_programs
from stentor.api.operations import ALL

SRC = Path(__file__).parents[3] / "src" / "stentor"
TOLD_BY = ("access", "audience", "planning", "recording", "runtime", "store")
COMMAND = re.compile(r"`stentor (?:campaign|drain|import|key|report|user)\b[^`]*`")


@pytest.mark.parametrize(
    ("told", "instead"),
    [
        ("no campaign 'x'; `stentor campaign list` shows all", "no campaign 'x'; `GET /v1/campaigns` shows all"),
        ("`stentor campaign resume c1` goes on with it", "`POST /v1/campaigns/c1/resume` goes on with it"),
        ("`stentor drain --end` allows it again", "`DELETE /v1/queue/drain` allows it again"),
        ("ada is disabled; `stentor user enable ada` first", "ada is disabled; `POST /v1/users/{user}/enable` first"),
        ("run `stentor init --upgrade`", "run `stentor init --upgrade`"),
    ],
)
def test_a_command_is_told_as_an_operation(told: str, instead: str) -> None:
    assert for_programs(told) == instead


def raised() -> list[str]:
    """The texts of what is raised, with `X` for what is filled in."""
    found = []
    for path in (each for part in TOLD_BY for each in (SRC / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return [text for text in found if "\n" not in text and COMMAND.search(text)]


def test_every_command_in_an_error_has_an_operation() -> None:
    texts = raised()
    assert len(texts) > 8
    left = {text for text in texts if COMMAND.search(for_programs(text))}
    assert left <= {text for text in texts if "{campaign}` continues it" in text or "--dead" in text}, left


def test_every_operation_that_is_named_exists() -> None:
    paths = {re.sub(r"\{\w+\}", "X", path): set(each) for path, each in document(ALL)["paths"].items()}
    for text in raised():
        for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/v1/[^`]+)`", for_programs(text)):
            assert method.lower() in paths[re.sub(r"\{\w+\}", "X", path)], text
