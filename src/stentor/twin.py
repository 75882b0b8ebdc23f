"""Blocking twins of asynchronous classes, for programs without an event loop.

Rules: each method is the asynchronous one, run to its end on a loop that belongs to the twin and stands still between
calls; nothing is done otherwise here. For use by one thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Part = TypeVar("Part")


class Twin(Generic[Part]):
    """Of one object with asynchronous methods."""

    def __init__(self, part: Part, runner: asyncio.Runner) -> None:
        self._part = part
        self._runner = runner

    def _do(self, work: Awaitable[T]) -> T:
        return run(self._runner, work)


def run(runner: asyncio.Runner, work: Awaitable[T]) -> T:
    """What this gives, once it is done."""

    async def done() -> T:
        return await work

    return runner.run(done())


def blocking(method: Callable[Concatenate[Part, P], Awaitable[T]]) -> Callable[Concatenate[Twin[Part], P], T]:
    """The same method of a twin."""

    @wraps(method)
    def call(self: Twin[Part], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._do(method(self._part, *args, **kwargs))

    return call


def iterating(
    method: Callable[Concatenate[Part, P], AsyncIterator[T]],
) -> Callable[Concatenate[Twin[Part], P], Iterator[T]]:
    """The same method of a twin, for what gives one thing after the other."""

    @wraps(method)
    def call(self: Twin[Part], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return iterated(self._runner, method(self._part, *args, **kwargs))

    return call


def iterated(runner: asyncio.Runner, found: AsyncIterator[T]) -> Iterator[T]:
    """One thing after the other. What the iterator holds is let go as soon as nobody wants more of it."""

    async def following() -> T:
        return await anext(found)  # called within the loop, which then closes what is left open when it ends

    try:
        while True:
            try:
                yield run(runner, following())
            except StopAsyncIteration:
                return
    finally:
        if isinstance(found, AsyncGenerator):
            with suppress(RuntimeError):  # the runner is closed, and has closed this with it
                runner.get_loop()
                run(runner, found.aclose())


def refuse_within_a_loop(wanted: str, instead_of: str) -> None:
    """Raises: RuntimeError: an event loop runs in this thread already, where `wanted` is wanted instead."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"an event loop runs in this thread already: use {wanted} there, not {instead_of}")
