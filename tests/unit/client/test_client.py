"""What the client needs, what it shows, and the parts of it that know no network."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from stentor.client import ApiProblem, BlockingClient, Client
from stentor.client.address import address
from stentor.client.calling import headers
from stentor.client.connection import path
from stentor.client.exporting import _place, _whole
from stentor.client.following import EventReader
from stentor.client.problem import of_answer
from stentor.client.uploading import RowStream
from stentor.errors import InvalidConfiguration, InvalidInput, StentorError

KEY = "stentor_live_0123456789secret"


def test_the_client_loads_nothing_of_the_engine() -> None:
    script = (
        "import sys, stentor.client; print(*(name for name in sys.modules if name.startswith('stentor')));"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours, packages = (set(line.split()) for line in run.stdout.splitlines())
    allowed = {"stentor", "stentor.version", "stentor.errors", "stentor.twin"}
    assert {name for name in ours if not name.startswith("stentor.client")} == allowed
    engine = {"sqlalchemy", "alembic", "asyncpg", "aiosqlite", "uvloop", "jh2", "nats", "starlette", "uvicorn"}
    assert not packages & (engine | {"jinja2", "pydantic", "typer", "rich", "google", "cryptography", "apprise"})
    assert "aiohttp" in packages


def test_address_and_key_come_from_arguments_or_the_environment() -> None:
    environment = {"STENTOR_URL": "https://push.example.com/v1/", "STENTOR_KEY": f"{KEY}\n"}
    found = address(None, None, environment)
    assert (found.url, found.key) == ("https://push.example.com", KEY)
    found = address("http://127.0.0.1:8383/stentor/", "other", environment)
    assert (found.url, found.key) == ("http://127.0.0.1:8383/stentor", "other")


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        (None, KEY, "STENTOR_URL"),
        ("https://push.example.com", None, "STENTOR_KEY"),
        ("https://push.example.com", f"{KEY} x", "more than the key"),
        ("https://push.example.com", f"{KEY}\r\nX: y", "more than the key"),
        ("push.example.com", KEY, "must be like"),
        ("ftp://push.example.com", KEY, "must be like"),
        ("https://", KEY, "must be like"),
        ("https://push.example.com:x", KEY, "must be like"),
        (f"https://ada:{KEY}@push.example.com", KEY, "nothing secret"),
        (f"https://push.example.com/?key={KEY}", KEY, "must be like"),
    ],
)
def test_what_cannot_be_an_address_or_a_key_is_refused(url: str | None, key: str | None, says: str) -> None:
    with pytest.raises(InvalidConfiguration, match=says) as told:
        address(url, key, {})
    assert KEY not in str(told.value)


def test_no_repr_shows_the_key() -> None:
    client = Client("https://push.example.com", KEY)
    shown = [repr(client), repr(client._connection), repr(client._connection._address), repr(client.campaigns)]
    shown.append(repr(BlockingClient("https://push.example.com", KEY)))
    assert all(KEY not in each for each in shown)
    assert shown[0] == "<Client of https://push.example.com>"


async def test_a_client_must_be_opened() -> None:
    with pytest.raises(RuntimeError, match="context manager"):
        await Client("http://127.0.0.1:1", KEY).campaigns.get("x")


async def test_the_blocking_client_refuses_to_hold_up_a_loop() -> None:
    with pytest.raises(RuntimeError, match="use Client there"):
        BlockingClient("http://127.0.0.1:1", KEY).__enter__()


def test_ids_may_have_any_character() -> None:
    assert path("/v1/x/{one}/y/{two}", one="a/b?c#d%é", two="..") == "/v1/x/a%2Fb%3Fc%23d%25%C3%A9/y/.."


def test_a_problem_says_all_that_the_api_said() -> None:
    body = (
        b'{"type":"/v1/problems/invalid-message","title":"T","status":422,"detail":"title: is too long",'
        b'"errors":[{"detail":"is too long","pointer":"/message/title"}],"campaign":"c1","new":1}'
    )
    problem = of_answer(422, "application/problem+json", body, request_id="r1", retry_after=None)
    assert isinstance(problem, StentorError)
    assert (problem.status, problem.slug, problem.title, problem.campaign) == (422, "invalid-message", "T", "c1")
    assert [each.pointer for each in problem.errors] == ["/message/title"]
    assert str(problem) == "422 invalid-message: title: is too long (request r1)"
    for kind, other in (
        ("text/html", b"<h1>"),
        ("application/problem+json", b"{}"),
        ("application/problem+json", b"\xff"),
    ):
        assert of_answer(502, kind, other, request_id=None, retry_after=None).slug == "unreadable-answer"


def test_a_problem_survives_a_pickle() -> None:
    """A worker's exception goes to another process, as with Celery."""
    problem = of_answer(404, "text/plain", b"", request_id="r", retry_after=2.0)
    again = pickle.loads(pickle.dumps(problem))
    assert isinstance(again, ApiProblem)
    assert (str(again), again.status, again.retry_after) == (str(problem), 404, 2.0)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_wherever_they_are_cut(size: int) -> None:
    text = (
        b': still here\n\nretry: 2000\n\nevent: state\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
        b"event: end\nid: 8\ndata: {}\n\nevent: half\ndata: x\n"
    )
    reader = EventReader()
    found = [each for at in range(0, len(text), size) for each in reader.feed(text[at : at + size])]
    assert found == [("state", "7", b'{"a":\n1}'), ("end", "8", b"{}")]
    assert (reader.last_id, reader.retry) == ("8", 2.0)
    reader.restart()
    assert list(reader.feed(b"data: y\n\n")) == [("message", "8", b"y")]


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_line_of_a_table_may_have_line_ends_in_quotes(size: int) -> None:
    text = b'batch_id,position,detail\r\nc/1,0,"a ""b""\n\nc"\r\nc/1,1,x\r\nc/1,2,"un'

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    lines = [line async for line in _whole(pieces(), quoted=True)]
    assert lines == [b"batch_id,position,detail\r\n", b'c/1,0,"a ""b""\n\nc"\r\n', b"c/1,1,x\r\n"]
    assert _place(lines[1], lines[0]) == "c/1:0"
    assert _place(b'{"installation":"a","batch_id":"c/2","position":12}\n', b"") == "c/2:12"
    plain = [line async for line in _whole(pieces(), quoted=False)]
    assert len(plain) == 5


def test_an_etag_that_is_not_there_is_no_condition() -> None:
    assert headers() == {}
    assert headers(idempotency_key="k", if_match='"e"') == {"Idempotency-Key": "k", "If-Match": '"e"'}
    with pytest.raises(InvalidInput, match="get the campaign first"):
        headers(if_match="")


async def test_rows_that_can_be_had_once_are_not_sent_twice() -> None:
    rows = [{"id": str(number)} for number in range(450)]
    again = RowStream(rows)
    once = RowStream(iter(rows))
    assert once.repeatable
    for body in (again, once):
        pieces = [piece async for piece in body.pieces()]
        assert len(pieces) == 3
        assert b"".join(pieces).count(b"\n") == 450
    assert again.repeatable
    assert not once.repeatable
