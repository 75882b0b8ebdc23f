"""A server or database that is away: logged once when it has been for a while, and once when it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stentor.clock import steady

AFTER = 1.0
"""Seconds without an answer after which it is logged: less is a conflict, or a connection that is replaced."""


class Absence:
    """Of one of them, as one process sees it."""

    def __init__(self, name: str, logger: logging.Logger, clock: Callable[[], float] = steady) -> None:
        """Args:
        name: what people are told it is.
        """
        self._name = name[:1].upper() + name[1:]
        self._logger = logger
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def note(self, problem: str | None) -> None:
        """It was asked for something: `problem` is why it gave no answer, None where it did."""
        if problem is None:
            if self._since is not None:
                self._end(self._clock() - self._since)
        elif self._since is None:
            self._since = self._clock()
        elif not self._told and self._clock() - self._since >= AFTER:
            self._told = True
            self._logger.warning("%s", problem)

    def _end(self, seconds: float) -> None:
        if self._told:
            self._logger.info("%s answers again, after %.0f s", self._name, seconds)
        self._since, self._told = None, False
