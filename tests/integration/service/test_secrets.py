"""Planted secrets are found nowhere: not in logs, metrics, errors, pages, exports, or answers of the API.

One campaign goes through a whole Stentor while providers refuse and fail, keys and passwords are wrong, and at last the
store is broken. All that anybody could read meanwhile is searched.
"""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.access.users import PATH as LINK
from stentor.api.operations import ALL
from stentor.cli import stage
from stentor.dashboard.cookies import SESSION
from tests.integration.cli.commands import Cluster
from tests.integration.processes import until
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers
from tests.integration.service.server import Server, serving
from tests.integration.service.test_process import ended

pytestmark = pytest.mark.timeout(400)  # it starts many processes, which load all they need
PHONES = 200
PASSWORD = "an owl reads at noon"
CLOSED = "127.0.0.1:1"
"""Where nobody listens."""
FAULTS: dict[str, Any] = {
    "apns": {"devices": {"unregistered": 0.2, "malformed": 0.1}},
    "fcm": {"unavailable": {"for_s": 2.0, "every_s": 4.0, "status": 500}, "devices": {"unregistered": 0.2}},
}
HREF = re.compile(r'(?:href|action|hx-get|hx-sse:connect|sse-connect)="(/[^"#]*)')
ID = re.compile(r"/(?=[^/]*\d)[^/]+")
STREAMS = ("/events", "/live")
"""These have no end."""
MOST_OF_A_KIND = 2
BROKEN = ("stentor_campaigns", "stentor_failures")
"""The tables that are gone at the end."""
SHORTEST = 20
"""Lines of a key that are shorter say nothing."""


class Planted:
    """What nobody may read, by what it is."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.bot = f"4711:{secrets.token_hex(20)}"
        self.client = f"client-{secrets.token_hex(8)}"
        self.target = f"target-{secrets.token_hex(8)}"
        self.database = f"reader-{secrets.token_hex(8)}"
        self._folder = folder
        self._facts = facts
        self.all: dict[str, list[str]] = {
            "a bot's token": [self.bot],
            "a client's secret": [self.client],
            "the secret of a report's target": [self.target],
            "a database's password": [self.database],
            "a user's password": [PASSWORD],
            "a hash of a password": ["$argon2"],
        }

    def settings(self) -> str:
        """Sections that hold secrets or lead to them. Nothing of this can be reached."""
        files = {"bot.txt": self.bot, "client.txt": self.client, "target.txt": f"json://me:{self.target}@{CLOSED}/x"}
        for name, content in files.items():
            (self._folder / name).write_text(content)
        return f"""
public_url = "http://127.0.0.1:8383"

[apps.bot]
channel = "telegram"
token_file = "bot.txt"
url = "https://{CLOSED}"

[audiences.away]
url = "postgresql://reader:{self.database}@{CLOSED}/app"
table = "devices"
channel = "apns"

[audiences.away.columns]
id = "id"
address = "token"

[reports.targets.room]
url_file = "target.txt"

[access.oidc]
issuer = "https://{CLOSED}"
client_id = "stentor"
client_secret_file = "client.txt"
roles = {{ editors = "send" }}
"""

    def look_up(self) -> None:
        """Add what is in files and databases by now."""
        for channel, key in (("apns", "key_file"), ("fcm", "service_account_file")):
            text = Path(self._facts[channel][key]).read_text().replace("\\n", "\n")
            lines = (line.strip() for line in text.splitlines() if "-----" not in line and ":" not in line)
            self.all[f"the key for {channel}"] = [line for line in lines if len(line) > SHORTEST]
        with sqlite3.connect(self._folder / stage.DATABASE) as database:
            self.all["a device's address"] = [token for (token,) in database.execute("SELECT token FROM devices")]
        with sqlite3.connect(self._folder / "stentor.db") as store:
            keys = [value for (value,) in store.execute("SELECT value FROM stentor_signing_keys")]
        self.all["a key that tokens are signed with"] = [
            text for key in keys for text in (key.hex(), base64.b64encode(key).decode().rstrip("="))
        ]

    def found(self, texts: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """(where, what) of each secret that is in a text."""
        return {
            (where, what) for where, text in texts for what, hidden in self.all.items() for one in hidden if one in text
        }


@pytest.fixture
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


class Reader:
    """Reads whatever can be read, and keeps it."""

    def __init__(self, server: Server, planted: Planted) -> None:
        self.server = server
        self.planted = planted
        self.read: list[tuple[str, str]] = []
        """(where, text)"""
        self.statuses: set[int] = set()

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **given: Any) -> httpx.Response:
        answer = await client.request(method, path, **given)
        self.keep(f"{method} {path} ({answer.status_code})", f"{answer.headers}\n{answer.text}")
        self.statuses.add(answer.status_code)
        return answer

    def keep(self, where: str, text: str) -> None:
        self.read.append((where, unescape(text)))

    async def pages(self, client: httpx.AsyncClient) -> set[str]:
        """Every kind of page that others lead to, for a few things each: filters have no end of combinations."""
        known, new = {"/campaigns"}, ["/campaigns"]
        kinds: Counter[str] = Counter()
        while new:
            path = new.pop()
            kind = ID.sub("/…", path.partition("?")[0])
            kinds[kind] += 1
            if kinds[kind] > MOST_OF_A_KIND:
                continue
            answer = await self.ask(client, "GET", path)
            if "text/html" in answer.headers.get("content-type", ""):
                links = {unescape(each) for each in HREF.findall(answer.text)}
                wanted = {each for each in links - known if not each.partition("?")[0].endswith(STREAMS)}
                known |= wanted
                new += wanted
        return known

    async def operations(self, client: httpx.AsyncClient, places: dict[str, str]) -> None:
        """Whatever the API shows."""
        for each in ALL:
            if each.method == "GET" and not each.path.endswith("/events"):
                await self.ask(client, "GET", each.path.format(**places))
        for each in ("failures/export?format=csv", "failures/export", "recipients/export?format=csv"):
            await self.ask(client, "GET", f"/v1/campaigns/{places['campaign']}/{each}")
        await self.ask(client, "GET", "/v1/openapi.json")


async def test_no_secret_is_told_to_anybody(tmp_path: Path, facts: Facts) -> None:
    planted = Planted(tmp_path, facts)
    async with httpx.AsyncClient(timeout=60) as control:
        for channel, faults in FAULTS.items():
            (await control.post(f"{facts[channel]['control_url']}/faults", json=faults)).raise_for_status()
    command = ("serve", "--log-level", "debug", "--listen", "127.0.0.1:0")
    async with serving(tmp_path, facts, PHONES, *command, more=planted.settings()) as server:
        reader = Reader(server, planted)
        keys = server.stentor.access.keys
        key, old = [(await keys.create(local_caller(), each, Scope.ADMIN)) for each in ("tests", "old")]
        await keys.revoke(local_caller(), old.key.id)
        planted.all["an API key"] = [key.text, old.text]
        headers = {"Authorization": f"Bearer {key.text}"}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers, timeout=120) as program,
            httpx.AsyncClient(base_url=server.url, timeout=120, follow_redirects=True) as person,
        ):
            campaign = await run_a_campaign(reader, program)
            await provoke(reader, program, old.text)
            await sign_in(reader, person)
            places = {"campaign": campaign, "message_id": campaign, "installation": "1", "key": key.key.id}
            places["user"] = (await program.get("/v1/users")).json()["users"][0]["id"]
            (await program.put("/v1/segments/german", json={"segment": "language in [de]"})).raise_for_status()
            (await program.put("/v1/templates/german", json={"message": {"title": "{{ city }}"}})).raise_for_status()
            series = {
                "name": "daily",
                "cron": "0 18 * * *",
                "message": {"title": "News"},
                "audience": {"source": AUDIENCE},
            }
            made = (await program.post("/v1/series", json=series)).raise_for_status().json()
            places |= {"name": "german", "version": "1", "series": made["id"]}
            await reader.operations(program, places)
            assert f"/campaigns/{campaign}" in await reader.pages(person)
            await metrics(reader)
            break_the_store(tmp_path)
            await reader.operations(program, places)
            await reader.pages(person)
        await complain(reader)
        planted.look_up()
        reader.keep("the log", server.said())
    assert {200, 401, 403, 422, 503} <= reader.statuses
    assert " DEBUG " in server.said()
    assert "Unregistered" in "".join(text for where, text in reader.read if "failures/export" in where)
    assert all(planted.all.values())
    assert planted.found([("a leak", f"key={key.text}.")]) == {("a leak", "an API key")}
    assert planted.found(reader.read) == set()


async def run_a_campaign(reader: Reader, program: httpx.AsyncClient) -> str:
    """To all phones, and a message to a chat that cannot be reached; returns the campaign's id."""
    body = {"message": {"title": "News", "ttl": 3600}, "audience": {"source": AUDIENCE}}
    made = (await reader.ask(program, "POST", "/v1/campaigns?start=true", json=body)).json()
    chat = {"message": {"title": "Hello"}, "lane": "telegram/bot", "addresses": ["4711"]}
    await reader.ask(program, "POST", "/v1/messages?wait=1", json=chat)
    report = await ended(program, made["id"])
    assert report["failed"] > 0
    return str(made["id"])


async def provoke(reader: Reader, program: httpx.AsyncClient, old: str) -> None:
    """What goes wrong between a program and the API."""
    for text in (old, old[:-1] + "x", "nothing"):
        await reader.ask(program, "GET", "/v1/me", headers={"Authorization": f"Bearer {text}"})
    away = {"message": {"title": "News"}, "audience": {"source": "away"}}
    await reader.ask(program, "POST", "/v1/campaigns/preview", json=away)
    await reader.ask(program, "POST", "/v1/campaigns", json={"message": 4711})
    await reader.ask(program, "POST", "/v1/reports/test", json={})
    await until(lambda: "room" in reader.server.said())


async def sign_in(reader: Reader, person: httpx.AsyncClient) -> None:
    """A wrong password, a provider that is away, then the link of the first admin."""
    link = await reader.server.stentor.access.users.first_link()
    assert link is not None
    reader.planted.all["a one-time link"] = [link.token]
    page = await reader.ask(person, "GET", "/sign-in")
    wrong = {"csrf": token(page), "name": "ada", "password": PASSWORD}
    assert (await reader.ask(person, "POST", "/sign-in", data=wrong)).status_code == 403
    await reader.ask(person, "GET", "/sign-in/provider")
    page = await person.get(LINK + link.token)
    filled = {"csrf": token(page), "name": "ada", "password": PASSWORD, "again": PASSWORD}
    page = await person.post(LINK + link.token, data=filled)
    await reader.ask(person, "POST", "/sign-in", data={**wrong, "csrf": token(page)})
    reader.planted.all["a session"] = [person.cookies[SESSION]]


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return unescape(found[1])


async def metrics(reader: Reader) -> None:
    (address,) = re.findall(r"answering probes on (http://\S+)", reader.server.said())
    async with httpx.AsyncClient(base_url=address, timeout=60) as anybody:
        for path in ("/metrics", "/readyz", "/healthz"):
            await reader.ask(anybody, "GET", path)


def break_the_store(folder: Path) -> None:
    """Take tables away, so that statements fail with all that is in them."""
    with sqlite3.connect(folder / "stentor.db", timeout=60) as store:
        for table in BROKEN:
            store.execute(f"ALTER TABLE {table} RENAME TO {table}_away")


async def complain(reader: Reader) -> None:
    """What commands say of all that, and of a store that is away."""
    cluster = Cluster(reader.server.settings)
    for command in (
        ("doctor",),
        ("campaign", "show", "last"),
        ("send", "--title", "Hello", "--audience", "away", "--yes"),
    ):
        reader.keep(" ".join(command), str(await cluster.run(*command)))
    file = reader.server.settings.with_name("away.toml")
    store = f"postgresql://stentor:{reader.planted.database}@{CLOSED}/stentor"
    file.write_text(reader.server.settings.read_text().replace("sqlite:///stentor.db", store))
    code, out, err = await Cluster(file).run("worker", "api", "--log-level", "debug")
    assert code == 1
    reader.keep("worker api without its store", out + err)
