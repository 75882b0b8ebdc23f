"""Blocking calls, one at a time, in a thread that neither a process's end nor anybody else waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class StillBusy(Exception):
    """The call before this one has not returned yet, long after it should have."""


class OneThread(Generic[T]):
    """Of one owner. A call that doesn't return in time is left alone, and no other begins before it returns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: Future[T] | None = None

    async def run(self, call: Callable[[], T], within: float) -> T:
        """What `call` returns or raises.

        Raises:
            TimeoutError: it took longer than so many seconds.
            StillBusy: the one before hasn't returned.
        """
        if self._last is not None and not self._last.done():
            raise StillBusy
        future = self._last = Future[T]()
        future.set_running_or_notify_cancel()  # so that nobody who waits no longer takes it away from the thread
        threading.Thread(target=_run, args=(call, future), name=self._name, daemon=True).start()
        return await asyncio.wait_for(asyncio.wrap_future(future), within)


def _run(call: Callable[[], T], future: Future[T]) -> None:
    try:
        found = call()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the call is waited for
        future.set_exception(error)
    else:
        future.set_result(found)
