"""`stentor key` and `stentor user` on a store: what they print, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from stentor import Stentor, load
from stentor.access.caller import Caller
from stentor.access.scopes import Scope
from stentor.cli.main import app
from stentor.errors import SignInRefused
from tests.integration.access.house import OTHER_PASSWORD, PASSWORD

T = TypeVar("T")
KEY = re.compile(r"stentor_live_[0-9A-Za-z]{49}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stentor.toml").write_text("[api]\npublic_url = 'https://stentor.example.com'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STENTOR_CONFIG", raising=False)
    return tmp_path


def run(*arguments: str, given: str | None = None, code: int = 0) -> Result:
    done = CliRunner(env={"COLUMNS": "160", "TERM": "dumb"}).invoke(app, list(arguments), input=given)
    assert done.exit_code == code, done.output
    return done


def told(*arguments: str, given: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", given=given).stdout)


def ask(question: Callable[[Stentor], Awaitable[T]]) -> T:
    """What a process of the service finds."""

    async def opened() -> T:
        async with Stentor(load()) as stentor:
            return await question(stentor)

    return asyncio.run(opened())


def holder(text: str) -> Caller | None:
    return ask(lambda stentor: stentor.access.keys.authenticate(text))


def test_a_key_from_its_making_to_its_end() -> None:
    made = run("key", "create", "shop", "--scope", "send")
    text = made.stdout.strip()
    assert KEY.fullmatch(text)  # alone on stdout, so that `> shop.key` is the key
    assert "shown again" in made.stderr
    assert "has the scope send, and never expires" in made.stderr
    caller = holder(text)
    assert caller is not None
    assert (caller.name, caller.scope) == ("shop", Scope.SEND)

    listed = run("key", "list").stdout
    assert re.search(rf"{caller.id} +send +valid +\d{{4}}-.* shop", listed)
    assert not KEY.search(listed)

    rolled = told("key", "roll", "shop", "--overlap", "1h")
    assert rolled["about"]["id"] == caller.id
    assert rolled["about"]["old_until"] > rolled["about"]["created_at"]
    assert holder(text) == holder(rolled["key"]) == caller
    at_once = told("key", "roll", caller.id, "--overlap", "0s")
    assert holder(text) is None
    assert holder(at_once["key"]) == caller

    assert told("key", "revoke", "shop", "--yes")["revoked_at"] is not None
    assert holder(at_once["key"]) is None
    assert "revoked" in run("key", "list").stdout
    (shown,) = told("key", "list")["keys"]
    assert shown["revoked_at"] is not None
    assert "shop" in run("key", "revoke", "shop", "--yes", code=2).stderr


def test_a_key_may_end_by_itself() -> None:
    made = told("key", "create", "tv", "--expires", "+90d")
    assert made["about"]["scope"] == "view"
    assert made["about"]["expires_at"] - made["about"]["created_at"] == pytest.approx(90 * 86_400, abs=60)
    assert "until 20" in run("key", "list").stdout
    assert "in the past" in run("key", "create", "tv", "--expires", "2020-01-01", code=2).stderr
    assert "scope" in run("key", "create", "tv", "--scope", "root", code=2).stderr


def test_revoking_asks_first() -> None:
    run("key", "create", "shop")
    assert "add --yes" in run("key", "revoke", "shop", code=2).stderr
    assert told("key", "list")["keys"][0]["revoked_at"] is None


def test_the_first_admin_comes_by_a_link_that_works_once() -> None:
    printed = run("user", "link")
    link = printed.stdout.strip()
    assert re.fullmatch(r"https://stentor\.example\.com/link/[\w-]{43}", link)
    assert "makes the first admin. It works once, until 20" in printed.stderr
    token = link.rpartition("/")[2]
    ask(lambda stentor: stentor.access.users.use_link(token, PASSWORD, name="grace"))
    (user,) = told("user", "list")["users"]
    assert (user["name"], user["role"], user["issuer"]) == ("grace", "admin", None)
    refused = run("user", "link", code=2)
    assert "there are users already" in refused.stderr
    assert "sets the password of grace" in run("user", "link", "grace").stderr


def signs_in(password: str) -> bool:
    try:
        ask(lambda stentor: stentor.access.sessions.sign_in("grace", password, address=None))
    except SignInRefused:
        return False
    return True


def test_a_user_from_its_making_to_its_end() -> None:
    made = told("user", "add", "grace", "--role", "write")
    assert made["user"]["role"] == "write"
    assert made["link"]["link"].startswith("https://stentor.example.com/link/")
    assert "nothing yet: no password" in run("user", "list").stdout

    done = run("user", "password", "grace", "--password-stdin", given=f"{PASSWORD}\n")
    assert "The password of grace is set." in done.stdout
    assert PASSWORD not in done.output
    assert signs_in(PASSWORD)
    assert told("user", "sign-out", "grace")["ended"] == 1
    assert "0 sessions of grace ended." in run("user", "sign-out", "grace").stdout

    assert told("user", "role", "GRACE", "send")["role"] == "send"
    assert "has the role view" in run("user", "role", "grace", "view").stdout
    assert told("user", "disable", "grace", "--yes")["disabled_at"] is not None
    assert "nothing: disabled" in run("user", "list").stdout
    assert not signs_in(PASSWORD)
    assert told("user", "enable", "grace")["disabled_at"] is None
    assert signs_in(PASSWORD)


def test_a_user_may_be_made_with_a_password() -> None:
    made = told("user", "add", "grace", "--password-stdin", given=f"{OTHER_PASSWORD}\n")
    assert made["link"] is None
    assert signs_in(OTHER_PASSWORD)
    refused = run("user", "add", "eve", "--password-stdin", given="short\n", code=2)
    assert "password: is shorter than 15 characters" in refused.stderr
    assert "no password on standard input" in run("user", "add", "eve", "--password-stdin", given="", code=2).stderr
    assert "add --password-stdin" in run("user", "password", "grace", code=2).stderr
    assert "there is no user 'eve'" in run("user", "role", "eve", "send", code=2).stderr


def test_the_log_shows_who_did_what() -> None:
    made = told("key", "create", "shop", "--scope", "send")
    run("user", "add", "grace")
    rows = told("user", "log")["actions"]
    assert [row["action"] for row in rows] == ["user.link", "user.add", "key.create"]
    assert {row["caller_kind"] for row in rows} == {"local"}
    shown = run("user", "log", "--object", made["about"]["id"]).stdout
    assert "(local)" in shown
    assert "key.create" in shown
    assert "user.add" not in shown
    (newest,) = told("user", "log", "--limit", "1")["actions"]
    assert [row["action"] for row in told("user", "log", "--after", newest["id"])["actions"]] == [
        "user.add",
        "key.create",
    ]
    assert len(told("user", "log", "--action", "user.add", "--since", "1h", "--outcome", "done")["actions"]) == 1
    assert "Nothing like that was done." in run("user", "log", "--caller", "nobody").stdout
    assert made["key"] not in run("user", "log", "--json").stdout


def test_every_field_of_the_json_is_explained() -> None:
    page = Path(__file__).parents[3] / "docs" / "command-line.md"
    explained = set(re.findall(r"`(\w+)`", page.read_text("utf-8")))
    made = told("key", "create", "shop")
    user = told("user", "add", "grace")
    found = {*made, *made["about"], *user, *user["user"], *user["link"], *told("key", "list"), *told("user", "list")}
    found |= {*told("user", "log"), *told("user", "log")["actions"][0], *told("user", "sign-out", "grace")}
    assert found - explained == set()
