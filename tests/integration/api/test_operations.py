"""Every operation, asked in every wrong way: whatever comes, the answer is one that the document names."""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import Any

import httpx
import pytest

from stentor.access.key_text import new_key
from stentor.access.scopes import Scope
from stentor.api.bodies import LARGEST
from stentor.api.document import document, kinds_of
from stentor.api.named import REQUEST_ID
from stentor.api.operation import Operation
from stentor.api.operations import ALL
from stentor.api.problems import CONTENT_TYPE, KINDS
from tests.integration.api.conftest import DRAFT, Service

BY_NAME = {each.name: each for each in ALL}
CLOSED = [each for each in ALL if each.scope is not None]
WRITING = [each for each in ALL if each.writes and each.body is not None]


def path_of(operation: Operation) -> str:
    """With something in the place of each id."""
    path = operation.path.removeprefix("/v1")
    for name in operation.path_names:
        path = path.replace(f"{{{name}}}", "nosuch")
    return path


def problem(answer: Any) -> str:
    """The slug of a problem, which must be whole."""
    assert answer.headers["content-type"] == CONTENT_TYPE, answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    assert told["type"].startswith("/v1/problems/")
    slug: str = told["type"].rpartition("/")[2]
    assert next(each for each in KINDS if each.slug == slug).title == told["title"]
    return slug


def test_names_are_unique_and_each_operation_says_what_it_does() -> None:
    assert len(BY_NAME) == len(ALL)
    for each in ALL:
        assert each.summary[:1].isupper(), each.name
        assert len(each.summary) < 100, each.name


async def test_nobody_gets_in_without_a_key(service: Service) -> None:
    for number, operation in enumerate(CLOSED):
        url = f"/v1{path_of(operation)}"
        async with at_address(service, f"192.0.2.{number}") as client:
            bare = await client.request(operation.method, url)
            assert (bare.status_code, problem(bare)) == (401, "unauthenticated")
            assert bare.headers["www-authenticate"] == "Bearer"
            made_up = ("", "x", "stentor_live_", "stentor_live_" + "A" * 50, "é", service.keys[Scope.VIEW][:-1] + "_")
            for text in made_up:
                headers = [(b"Authorization", f"Bearer {text}".encode())]
                wrong = await client.request(operation.method, url, headers=headers)
                assert (wrong.status_code, problem(wrong)) == (401, "unauthenticated"), text


def at_address(service: Service, address: str) -> httpx.AsyncClient:
    """A client that asks from this address."""
    transport = service.anybody._transport
    assert isinstance(transport, httpx.ASGITransport)
    there = httpx.ASGITransport(app=transport.app, client=(address, 4711))
    return httpx.AsyncClient(transport=there, base_url=service.anybody.base_url)


async def until_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> list[httpx.Response]:
    """Ask with a key that is not valid until there have been too many; all answers."""
    answers: list[httpx.Response] = []
    while not answers or answers[-1].status_code != 429:
        answers.append(await client.get("/v1/campaigns", headers=headers))
        assert answers[-1].status_code in (401, 429)
        assert len(answers) < 500
    return answers


async def test_made_up_keys_are_slowed_down_and_valid_ones_never(service: Service) -> None:
    made_up = {"Authorization": f"Bearer {new_key()}"}
    async with at_address(service, "192.0.2.1") as client, at_address(service, "192.0.2.2") as other:
        answers = await until_refused(client, made_up)
        assert len(answers) > 20
        assert problem(answers[-1]) == "too-many-requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
        mine = await client.get("/v1/campaigns", headers=service.headers(Scope.VIEW))
        assert mine.status_code == 200, "others at the same address are not locked out"
        assert (await client.get("/v1/campaigns")).status_code == 401, "without a key nothing is guessed"
        assert (await other.get("/v1/campaigns", headers=made_up)).status_code == 401
    async with at_address(service, "2001:db8::1") as one, at_address(service, "2001:db8::2") as neighbour:
        await until_refused(one, made_up)
        assert len(await until_refused(neighbour, made_up)) < 20, "a network of IPv6 is one customer's"


async def test_a_program_is_told_of_operations(service: Service) -> None:
    for path, operation in (("/campaigns/nosuch", "GET /v1/campaigns"), ("/keys/nosuch", "GET /v1/keys")):
        told = (await service.ask("GET", path)).json()["detail"]
        assert f"`{operation}`" in told
        assert "stentor " not in told


async def test_a_scope_that_is_too_low_is_refused_before_anything_else(service: Service) -> None:
    for operation in CLOSED:
        assert operation.scope is not None
        for scope in Scope:
            if scope.covers(operation.scope):
                continue
            answer = await service.ask(operation.method, path_of(operation), scope=scope)
            assert (answer.status_code, problem(answer)) == (403, "forbidden")
            assert operation.scope.value in answer.json()["detail"]


async def _send(service: Service, operation: Operation, body: bytes, kind: str = "application/json") -> Any:
    headers = {**service.headers(), "Content-Type": kind}
    return await service.anybody.request(operation.method, f"/v1{path_of(operation)}", content=body, headers=headers)


async def test_a_body_that_cannot_be_read_is_told(service: Service) -> None:
    for operation in WRITING:
        send = partial(_send, service, operation)
        assert problem(await send(b"{")) == "bad-body"
        assert problem(await send(b"\xff\xfe")) == "bad-body"
        assert problem(await send(b"[" * 100_000)) in ("bad-body", "invalid-input")
        assert problem(await send(b"[]")) == "invalid-input"
        unknown = await send(b'{"nosuchfield": 1}')
        assert problem(unknown) == "invalid-input"
        assert unknown.json()["errors"][0]["pointer"] == "/nosuchfield"
        assert problem(await send(b"{}", "text/plain")) == "unsupported-media-type"
        large = await send(b" " * (LARGEST + 1))
        assert (large.status_code, problem(large)) == (413, "too-large")


async def test_an_unknown_parameter_is_told(service: Service) -> None:
    for operation in ALL:
        answer = await service.ask(operation.method, f"{path_of(operation)}?nosuch=1")
        assert (answer.status_code, problem(answer)) == (422, "invalid-input")
        assert answer.json()["errors"][0]["parameter"] == "nosuch"


async def test_every_answer_is_in_the_document(service: Service) -> None:
    whole = document(ALL)
    for operation in ALL:
        if operation.name == "watch_all":  # it has no end
            continue
        told = whole["paths"][operation.path][operation.method.lower()]
        answer = await service.ask(operation.method, path_of(operation), {} if operation.body else None)
        assert str(answer.status_code) in told["responses"], answer.text
        if answer.status_code >= 400:
            assert problem(answer) in {kind.slug for kind in kinds_of(operation)}
        assert len(answer.headers[REQUEST_ID]) == 16


def test_conditions_are_in_the_document() -> None:
    def headers(path: str, method: str) -> set[str]:
        return {each["name"] for each in paths[path][method]["parameters"] if each["in"] == "header"}

    paths = document(ALL)["paths"]
    campaign = "/v1/campaigns/{campaign}"
    assert headers(campaign, "get") == headers("/v1/lanes", "get") == {"If-None-Match"}
    assert headers(campaign, "put") == headers(campaign, "delete") == {"If-Match"}
    assert (
        headers(f"{campaign}/start", "post") == headers(f"{campaign}/check", "post") == {"If-Match", "Idempotency-Key"}
    )
    assert headers(f"{campaign}/pause", "post") == {"Idempotency-Key"}
    assert headers(f"{campaign}/failures/export", "get") == set()
    answers = paths[campaign]["get"]["responses"]
    assert set(answers["200"]["headers"]) == set(answers["304"]["headers"]) == {"ETag"}
    for each in ALL:
        conditional = "If-Match" in headers(each.path, each.method.lower())
        assert conditional == ("call.match(" in inspect.getsource(each.run)), each.name


async def test_what_is_nowhere_is_told(service: Service) -> None:
    nowhere = await service.ask("GET", "/nosuch")
    assert problem(nowhere) == "not-found"
    assert (len(nowhere.headers[REQUEST_ID]), nowhere.headers["cache-control"]) == (16, "no-store")
    wrong = await service.ask("PATCH", "/campaigns")
    assert (wrong.status_code, problem(wrong)) == (405, "method-not-allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_each_kind_of_problem_has_a_page(service: Service) -> None:
    for kind in KINDS:
        page = await service.anybody.get(kind.type)
        assert page.json() == {"slug": kind.slug, "status": kind.status, "title": kind.title, "remedy": kind.remedy}
    assert problem(await service.anybody.get("/v1/problems/nosuch")) == "not-found"


async def test_anybody_may_read_the_document(service: Service) -> None:
    answer = await service.anybody.get("/v1/openapi.json")
    whole = answer.json()
    assert whole["openapi"] == "3.1.0"
    again = await service.anybody.get("/v1/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    text = json.dumps(whole)
    for name in whole["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, f"nothing is a {name}"
    wanted = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert wanted <= set(whole["components"]["schemas"])


@pytest.mark.parametrize("config", ["rate = 5"], indirect=True)
async def test_who_asks_too_often_waits(service: Service) -> None:
    answers = [await service.ask("GET", "/apps", scope=Scope.VIEW) for _ in range(60)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert problem(refused[0]) == "too-many-requests"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=10;w=2'
    assert "r=9;" in answers[0].headers["ratelimit"]
    assert (await service.ask("GET", "/apps", scope=Scope.WRITE)).status_code == 200  # each key has its own


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/campaigns", {**DRAFT, "title": 7}, "title: must be text, not a number"),
        ("POST", "/campaigns", {**DRAFT, "message": {"title": 7}}, "title: must be text, not a number"),
        ("POST", "/keys", {"name": ["x"]}, "name: must be text, not a list"),
        ("POST", "/keys", {"name": "x", "scope": "root"}, "allowed: view, write, send, admin"),
        ("POST", "/keys", [], "The body: must be an object, not a list"),
        ("GET", "/campaigns?limit=many", None, "limit: must be a whole number"),
        ("GET", "/campaigns?limit=0", None, "limit: must be 1 or more"),
        ("GET", "/log?outcome=lost", None, "allowed: done, refused, failed"),
    ],
)
async def test_what_is_wrong_is_said_in_plain_words(
    service: Service, method: str, path: str, body: Any, said: str
) -> None:
    answer = await service.ask(method, path, body)
    assert problem(answer) in ("invalid-input", "invalid-message")
    assert answer.json()["detail"].endswith(said)
