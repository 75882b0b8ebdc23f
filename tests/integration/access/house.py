"""The parts of one process, with clocks that a test sets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, event, select

from stentor.access.caller import Caller
from stentor.access.csrf import Csrf
from stentor.access.hashing import Hasher
from stentor.access.keys import Keys
from stentor.access.log import ActionFilter, ActionLog, LoggedAction
from stentor.access.scopes import Scope
from stentor.access.sessions import OpenedSession, Sessions
from stentor.access.signing import Signer
from stentor.access.users import User, Users
from stentor.config import AccessConfig
from stentor.store.database import Database

NOW = 1_800_000_000.0
LOCAL = Caller("local", "ada", "local", Scope.ADMIN)
PASSWORD = "orbit walnut ceramic fjord"
OTHER_PASSWORD = "velvet anchor thirty plums"
HERE, THERE = "198.51.100.7", "203.0.113.9"


class Clock:
    """Epoch seconds, and the steady clock's, by which nothing passes unless a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class House:
    """One process on a store; several of them may share the store."""

    def __init__(
        self,
        database: Database,
        clock: Clock | None = None,
        settings: AccessConfig | None = None,
        public_url: str | None = None,
    ) -> None:
        self.database = database
        self.clock = clock or Clock()
        self.settings = settings or AccessConfig()
        self.hasher = Hasher(passes=1, memory=64)
        self.signer = Signer(database)
        self.keys = Keys(database, self.clock, self.clock)
        self.users = Users(database, self.clock, self.hasher, self.signer, public_url)
        self.sessions = Sessions(database, self.clock, self.settings, self.hasher, self.signer, self.clock)
        self.csrf = Csrf(self.signer)
        self._neighbours: list[House] = []
        self.log = ActionLog(database, self.clock)

    def neighbour(self) -> House:
        """Another process on the same store."""
        self._neighbours.append(House(self.database, self.clock, self.settings))
        return self._neighbours[-1]

    async def user(self, name: str = "grace", role: Scope = Scope.SEND) -> User:
        """One with the password PASSWORD."""
        return await self.users.add(LOCAL, name, role, password=PASSWORD)

    async def sign_in(
        self, name: str = "grace", password: str = PASSWORD, address: str | None = HERE, previous: str | None = None
    ) -> OpenedSession:
        return await self.sessions.sign_in(name, password, address=address, previous=previous)

    async def actions(self, wanted: ActionFilter | None = None) -> list[LoggedAction]:
        return await self.log.page(LOCAL, wanted, limit=1000)

    async def did(self) -> list[tuple[str, str]]:
        """Actions and their outcomes, the oldest first."""
        return [(each.action, each.outcome) for each in reversed(await self.actions())]

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in await self.database.rows(select(table))]

    def statements(self) -> list[str]:
        """All that are sent to the database from now on."""
        sent: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            sent.append(statement)

        event.listen(self.database._engine.sync_engine, "before_cursor_execute", note)
        return sent

    async def aclose(self) -> None:
        for each in self._neighbours:
            await each.aclose()
        await self.keys.aclose()
        self.hasher.close()
