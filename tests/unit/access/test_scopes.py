"""Scopes, and the callers that have them."""

from __future__ import annotations

import getpass
from itertools import product
from typing import get_args

import pytest

from stentor.access.caller import Caller, local_caller
from stentor.access.scopes import Scope, read_scope
from stentor.config import Role
from stentor.errors import Forbidden, InvalidInput


def test_each_scope_includes_those_before_it() -> None:
    order = [Scope.VIEW, Scope.WRITE, Scope.SEND, Scope.ADMIN]
    for (have, mine), (need, wanted) in product(enumerate(order), repeat=2):
        assert mine.covers(wanted) is (have >= need)


def test_a_caller_is_refused_what_its_scope_does_not_cover() -> None:
    caller = Caller("k", "shop", "key", Scope.WRITE)
    caller.require(Scope.VIEW)
    caller.require(Scope.WRITE)
    with pytest.raises(Forbidden, match=r"^this needs the scope send, and 'shop' has write$"):
        caller.require(Scope.SEND)


def test_the_settings_know_the_same_roles() -> None:
    assert get_args(Role) == tuple(Scope)


def test_an_unknown_scope_names_those_that_there_are() -> None:
    assert read_scope("scope", "send") is Scope.SEND
    with pytest.raises(InvalidInput, match=r"scope: 'root' is not a scope; choose view, write, send or admin"):
        read_scope("scope", "root")


def test_the_command_line_is_its_user_even_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert local_caller() == Caller("local", "ada", "local", Scope.ADMIN)

    def nameless() -> str:
        raise OSError("no entry")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert local_caller().name.startswith("uid ")
