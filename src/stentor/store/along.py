"""What is written in the same transaction as something that is done: who did it, and the answer for a repeated request.

Rule: there is either all of it or nothing, wherever a process dies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
Along = Callable[[AsyncConnection, T], Awaitable[None]]
"""Is given the transaction, and what was made in it. It may run more than once, as the transaction may."""
