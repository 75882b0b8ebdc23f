"""The messages that Telegram has: what of them it needs to delete or change them. Columns, so that millions fit."""

from __future__ import annotations

from array import array
from hashlib import blake2b

PHOTO, DELETED, EDITED = 1, 2, 4


class Messages:
    """By their ids, which count from 1 over all chats."""

    def __init__(self) -> None:
        self._chats = array("q")
        self._times = array("d")
        self._contents = array("Q")
        self._flags = bytearray()

    def __len__(self) -> int:
        return len(self._flags)

    def __repr__(self) -> str:
        return f"<Messages: {len(self)}>"

    def add(self, chat: int, now: float, content: bytes, *, photo: bool) -> int:
        """Keep one; gives its id."""
        self._chats.append(chat)
        self._times.append(now)
        self._contents.append(_digest(content))
        self._flags.append(PHOTO if photo else 0)
        return len(self)

    def has(self, chat: int, message: int) -> bool:
        """Whether it is there, in that chat, and not deleted."""
        return 1 <= message <= len(self) and self._chats[message - 1] == chat and not self.flags(message) & DELETED

    def flags(self, message: int) -> int:
        return self._flags[message - 1]

    def sent_at(self, message: int) -> float:
        return self._times[message - 1]

    def delete(self, message: int) -> None:
        self._flags[message - 1] |= DELETED

    def edit(self, message: int, content: bytes) -> bool:
        """Change it; False where it says so already."""
        digest = _digest(content)
        if self._contents[message - 1] == digest:
            return False
        self._contents[message - 1] = digest
        self._flags[message - 1] |= EDITED
        return True


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest())
