"""Forms that count once: a second click on one is shown what the first one made, and nothing is made twice.

Each page gives such a form a token of its own. Rules: this process shows the same for `KEPT` seconds, for what is shown
once cannot be read anywhere again; another process only knows that the form was sent, by the store, in the transaction
of what it made.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.runtime.replies import Replies
from stentor.store import replies
from stentor.store.along import Along
from stentor.store.replies import KeptReply, KeyClaim

T = TypeVar("T")
KEPT = 10.0
"""Seconds for which what a form made is shown to whoever sends it again."""
FIELD = "once"
"""The field of a form that has its token."""
LONGEST = 64
"""Characters of a token."""
SENT = KeptReply(status=204, headers={}, body=b"")


class OnceForms:
    """Those of one process."""

    def __init__(self, kept: Replies) -> None:
        self._kept = kept
        self._made: dict[tuple[str, str, str], asyncio.Task[Any]] = {}

    def __repr__(self) -> str:
        return f"<OnceForms, {len(self._made)} sent a moment ago>"

    async def send(
        self, user: str, place: str, token: str, make: Callable[[Along[Any] | None], Awaitable[T]]
    ) -> T | None:
        """Do what a form asks for, or wait for whoever does it.

        Args:
            user: the id of who sends it.
            place: where it is sent to.
            token: the form's; empty: it has none, and counts each time.
            make: does it. What it is given is written in the transaction that does.

        Returns: what was made; None: it was done, by another process or more than KEPT seconds ago.
        Raises: what `make` raises: then the form may be sent again.
        """
        if not token:
            return await make(None)
        form = user, place, token[:LONGEST]
        task: asyncio.Task[T | None] | None = self._made.get(form)
        if task is None:
            task = self._made[form] = asyncio.create_task(self._first(form, make))
            task.add_done_callback(lambda done: self._forget(form, done))
        return await asyncio.shield(task)

    async def _first(self, form: tuple[str, str, str], make: Callable[[Along[Any] | None], Awaitable[T]]) -> T | None:
        user, place, token = form
        claim = await self._kept.claim(user, f"form {token}", hashlib.sha256(place.encode()).digest())
        if not isinstance(claim, KeyClaim):
            return None

        async def sent(connection: AsyncConnection, _: object) -> None:
            await replies.answer_with(connection, claim, SENT)

        made = False
        try:
            found = await make(sent)
            made = True
        finally:
            if not made:
                await asyncio.shield(self._kept.give_back(claim))
        return found

    def _forget(self, form: tuple[str, str, str], done: asyncio.Task[Any]) -> None:
        """Forget what a form made, a little later; at once if that failed, so that it can be sent again."""
        failed = done.cancelled() or done.exception() is not None
        asyncio.get_running_loop().call_later(0.0 if failed else KEPT, self._made.pop, form, None)
