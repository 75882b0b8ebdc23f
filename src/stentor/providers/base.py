"""What every lane is made of: an app's settings, its credential files over time, what reasons mean, and a lane's end.

Two bases build on it: `HttpLane` for providers that take one message a request and set the pace, `BurstLane` for those
that take bursts over HTTP/2. Rules: files are read when they are first needed, and again when they have changed; what
was opened with the old ones is left, and finishes in the background what it has.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from stentor.answer_times import AnswerTimes
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.providers.contract import Renewal, Rule
from stentor.providers.lane import Flight, LaneState
from stentor.providers.opened import Opened
from stentor.providers.rendering import R, Rendering
from stentor.settings import App

A = TypeVar("A")
"""What the credential files open."""


class BaseLane(Rendering[R], Generic[R, A]):
    """A lane but for the way to the provider: `begin`, `window` and `backlog` are left. Part of a `lane.Lane`."""

    provider_ceiling: ClassVar[float] = float("inf")
    """Pushes a second that the provider allows at most."""
    not_renewed: ClassVar[str] = "There is no short-lived credential to renew."
    """Why a credential that the provider refuses is not made anew, for people."""

    def __init__(
        self, app: App, name: str, table: Sequence[Rule], clock: Callable[[], float], rate: float | None
    ) -> None:
        """Args:
        name: the app's.
        clock: epoch seconds.
        rate: messages a second that all senders of the lane may send; None: no limit.
        """
        self.name = f"{app.channel}/{name}"
        self.rate = rate
        self.ceiling = min(self.provider_ceiling, rate or self.provider_ceiling)
        self.answer_times = AnswerTimes()
        """How long the provider takes to answer; over HTTP/2, of one request at a time on each connection."""
        self._app = app
        self._clock = clock
        self._meanings = {rule.reason: rule.meaning for rule in table}
        self._opened = Opened[A](lambda: (*self.files, app.ca_file), self._open)
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state}>"

    # -- what each adds -----------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def files(self) -> Sequence[Path | None]:
        """Those that `load` reads, beside the app's `ca_file`."""

    @abstractmethod
    async def _open(self) -> A:
        """Read the files. Raises: CredentialError, InvalidConfiguration."""

    @abstractmethod
    def _leave(self, old: A) -> None:
        """Close what the files opened when nobody is on it any more; what takes time is done `_later`."""

    @abstractmethod
    async def _finish(self, drain: float | None) -> None:
        """Let what is under way end, as `aclose` says."""

    @property
    @abstractmethod
    def state(self) -> LaneState: ...

    # -- what a sender asks -------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._opened.get()

    async def refused(self, flight: Flight) -> Renewal:
        return Renewal(False, explanation=self.not_renewed)

    def hold(self) -> None:
        """There are no short-lived credentials of which there could be too many."""

    async def reload(self) -> bool:
        changed, old = await self._opened.reload()
        if old is not None:
            self._leave(old)
        return changed

    def meaning(self, reason: str) -> str:
        return self._meanings.get(reason, "")

    async def aclose(self, drain: float | None = None) -> None:
        self._closed = True
        self._opened.stop()
        await self._finish(drain)
        if (last := await self._opened.last()) is not None:
            self._leave(last)
        await asyncio.gather(*self._leaving)

    def _later(self, leaving: Coroutine[Any, Any, None]) -> None:
        """Have it done in the background, before the lane is closed at the latest."""
        task = asyncio.get_running_loop().create_task(leaving, name=f"retire connections of {self.name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


@contextmanager
def setting(lane: str, key: str | None = None) -> Iterator[None]:
    """Errors within are about this setting of the lane's app, or about the app, and say so."""
    try:
        yield
    except (CredentialError, CredentialUnavailable, InvalidConfiguration) as error:
        raise type(error)(f"{settings_of(lane)}{'.' if key else ''}{key or ''}: {error}") from None


def settings_of(lane: str) -> str:
    """`apps.ios` for `apns/ios`."""
    return f"apps.{lane.partition('/')[2]}"


def read_text(file: Path) -> str:
    """What is in a file of a secret. Raises: CredentialError: names the file, and shows nothing of what is in it."""
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise CredentialError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialError(f"{file} isn't text") from None
