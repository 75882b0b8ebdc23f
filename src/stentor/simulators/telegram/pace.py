"""Telegram's limits: the bot's, each chat's, each group's, and how long it is deaf to whoever exceeds them.

Telegram tells none of them exactly; these are what it publishes, kept strictly. No clock of its own.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

CHAT_BURST = 3.0
"""Messages that a chat takes at once, after some rest."""
GROUP_WINDOW = 60.0
FORGIVES_AFTER = 60.0
"""Seconds without a refusal after which the next one is a first one again."""
SHORTEST, LONGEST = 3.0, 600.0
_CHATS = 1 << 17


@dataclass(slots=True)
class Bucket:
    """So many a second, and a number that may be saved up."""

    rate: float
    most: float
    level: float
    filled_at: float

    def take(self, now: float) -> float:
        """Seconds until there is one; 0 takes it."""
        self.level = min(self.most, self.level + self.rate * max(0.0, now - self.filled_at))
        self.filled_at = max(self.filled_at, now)
        if self.level >= 1.0 - 1e-9:
            self.level -= 1.0
            return 0.0
        return (1.0 - self.level) / self.rate


class Limits:
    """All of them, for one bot."""

    def __init__(self, per_second: float, paid_per_second: float, group_per_minute: int) -> None:
        self._free = Bucket(per_second, per_second, per_second, 0.0)
        self._paid = Bucket(paid_per_second, paid_per_second, paid_per_second, 0.0)
        self._group_per_minute = group_per_minute
        self._chats: dict[int, Bucket] = {}
        self._groups: dict[int, deque[float]] = {}
        self._deaf_until = -math.inf
        self._strikes = 0
        self._last_strike = -math.inf

    def __repr__(self) -> str:
        return f"<Limits: {self._strikes} strikes, {len(self._chats)} chats>"

    def take(self, chat: int | None, now: float, *, paid: bool) -> int:
        """Whole seconds to wait, of a 429; 0 lets the request through. `chat` is None where nothing is sent to one."""
        if now < self._deaf_until:
            return self._strike(now)
        if chat is not None and (self._chat(chat, now) or self._group(chat, now)):
            return self._strike(now)
        return self._strike(now) if (self._paid if paid else self._free).take(now) else 0

    def _strike(self, now: float) -> int:
        """Each refusal that follows another is for longer: who goes on asking waits the longest."""
        if now - max(self._last_strike, self._deaf_until) > FORGIVES_AFTER:
            self._strikes = 0
        if now >= self._deaf_until:  # those that were under way already make it no worse
            self._strikes += 1
            self._deaf_until = now + min(LONGEST, SHORTEST * 2.0 ** (self._strikes - 1))
        self._last_strike = now
        return math.ceil(self._deaf_until - now)

    def _chat(self, chat: int, now: float) -> float:
        bucket = self._chats.pop(chat, None) or Bucket(1.0, CHAT_BURST, CHAT_BURST, now)
        self._chats[chat] = bucket
        if len(self._chats) > _CHATS:
            del self._chats[next(iter(self._chats))]
        return bucket.take(now)

    def _group(self, chat: int, now: float) -> bool:
        """Whether a group has had its share of the last minute."""
        if chat > 0:
            return False
        sent = self._groups.setdefault(chat, deque())
        while sent and sent[0] <= now - GROUP_WINDOW:
            sent.popleft()
        if len(sent) >= self._group_per_minute:
            return True
        sent.append(now)
        return False
