"""The page about errors is the table of problems, and each error of ours is told as one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.render_errors import page
from stentor import errors
from stentor.api.problems import INTERNAL, KINDS, kind_of, message_pointer, pointer, problem_of
from stentor.errors import InvalidMessage, StentorError

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_the_table() -> None:
    assert (DOCS / "errors.md").read_text() == page(), "run `python docs/render_errors.py > docs/errors.md`"


def test_each_kind_is_there_once() -> None:
    assert len({each.slug for each in KINDS}) == len(KINDS)
    assert all(each.remedy.endswith(".") and 400 <= each.status < 600 for each in KINDS)


def test_no_error_that_a_caller_can_bring_about_is_a_mistake_of_ours() -> None:
    """What is left are errors that never leave the engine, or that only the command line and the dashboard meet."""
    inner = {
        *("StentorError", "WireError", "ConnectFailed", "HostForbidden", "ProtocolError", "PoolClosed"),
        *("WorkerFailed", "BatchUnreadable", "BatchTooNew", "LeaseLost"),
        *("SignInRefused", "SignInUnavailable", "LinkInvalid"),
    }
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StentorError)]
    assert {each.__name__ for each in kinds if kind_of(each) is INTERNAL} <= inner


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("title", "/message/title"),
        ("apns.payload", "/message/apns/payload"),
        ("telegram.buttons[0][1].url", "/message/telegram/buttons/0/1/url"),
        ("translations.de.title", "/message/translations/de/title"),
        ("values", "/values"),
        ("values.name", "/values/name"),
        ("message", "/message"),
    ],
)
def test_a_field_of_a_message_becomes_a_pointer(field: str, told: str) -> None:
    assert message_pointer(field) == told
    assert problem_of(InvalidMessage(field, "is wrong")).document.errors[0].pointer == told


def test_a_pointer_escapes_what_it_must() -> None:
    assert pointer("a/b.c~d") == "/a~1b/c~0d"
    assert pointer("") == ""
