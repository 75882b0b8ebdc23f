"""How fast one chat may be written to: windows by chat, and a silence for all. Arithmetic alone; the time is passed in.

Telegram names about a message a second for any chat, and 20 a minute for a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this). The 30 a second of a whole bot are
the lane's `rate`, and what a campaign may cost above that is here too.
"""

from __future__ import annotations

import math
from collections import deque

FREE_RATE = 30.0
"""Messages a second that cost nothing."""
PAID_RATE = 1000.0
"""Messages a second that a bot may send at most."""
STARS_EACH = 0.1
"""What each message above `FREE_RATE` costs."""
CHAT_WINDOW, GROUP_WINDOW = 1.0, 60.0
GROUP_MESSAGES = 20
"""How many a group may get in its window; any chat may get one in its own."""
MARGIN = 0.05
"""Seconds by which a window is longer here: one message may be on its way for less time than the one before."""
MOST_CHATS = 100_000
"""Chats, and groups, that are remembered at most. At 1000 a second a minute has fewer."""


def cost(recipients: int, rate: float) -> int:
    """The Stars that a campaign with `allow_paid_broadcast` costs at most, sent at `rate` messages a second."""
    paid = max(0.0, 1 - FREE_RATE / rate)
    return math.ceil(round(recipients * paid * STARS_EACH, 6))


class Turns:
    """Whose turn it is. Times are seconds of a clock that never goes back."""

    def __init__(self, most_chats: int = MOST_CHATS) -> None:
        self._most_chats = most_chats
        # In both, those that were written to longest ago come first.
        self._last: dict[bytes, float] = {}
        self._groups: dict[bytes, deque[float]] = {}
        """The last messages of each group, oldest first."""
        self._silent_until = -math.inf

    def __repr__(self) -> str:
        return f"<Turns: {len(self)} chats>"

    def __len__(self) -> int:
        """Chats that are remembered."""
        return len(self._last.keys() | self._groups.keys())

    def be_silent(self, until: float) -> None:
        """Nobody's turn comes before that."""
        self._silent_until = max(self._silent_until, until)

    def silence(self, now: float) -> float:
        """Seconds for which nothing may be asked of the bot; at most 0 where it may."""
        return self._silent_until - now

    def take(self, chat: bytes, now: float) -> float:
        """Seconds until this chat may be written to; 0 takes its turn."""
        self._forget(now)
        is_group = chat[:1] in (b"-", b"@")
        sent = self._groups.get(chat)
        free_at = max(self._silent_until, self._last.get(chat, -math.inf) + CHAT_WINDOW + MARGIN)
        if sent is not None and len(sent) >= GROUP_MESSAGES:
            free_at = max(free_at, sent[0] + GROUP_WINDOW + MARGIN)
        if free_at > now:
            return free_at - now
        self._last.pop(chat, None)  # it comes last again
        self._last[chat] = now
        if is_group:
            sent = self._groups.pop(chat, None) or deque(maxlen=GROUP_MESSAGES)
            sent.append(now)
            self._groups[chat] = sent
        return 0.0

    def _forget(self, now: float) -> None:
        """Those whose windows are over, and the oldest where there are too many."""
        last, groups, most = self._last, self._groups, self._most_chats
        while last and (len(last) >= most or next(iter(last.values())) <= now - CHAT_WINDOW - MARGIN):
            del last[next(iter(last))]
        while groups and (len(groups) >= most or next(iter(groups.values()))[-1] <= now - GROUP_WINDOW - MARGIN):
            del groups[next(iter(groups))]
