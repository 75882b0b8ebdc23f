"""Small documents in JetStream that many processes change by compare-and-swap; satisfies `pace.board.Board`.

A document is the only message of its subject, its revision the message's sequence number. Reads go to the stream's
leader: a follower may be behind.
"""

from __future__ import annotations

from typing import Final

from nats.js.errors import APIError, NotFoundError

from stentor.queue.nats import WRONG_LAST, Nats
from stentor.queue.streams import Streams, token


class JetStreamBoard:
    """One document a lane, among the notes."""

    def __init__(self, nats: Nats, streams: Streams) -> None:
        self._nats: Final = nats
        self._streams: Final = streams

    def __repr__(self) -> str:
        return f"<JetStreamBoard on {self._nats.name}>"

    async def read(self, lane: str) -> tuple[bytes | None, int]:
        """See `pace.board.Board.read`."""
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            try:
                message = await jetstream.get_last_msg(self._stream, self._subject(lane))
            except NotFoundError:
                return None, 0
        return message.data or b"", message.seq or 0

    async def write(self, lane: str, document: bytes, revision: int) -> bool:
        """See `pace.board.Board.write`."""
        await self._streams.ready()
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            try:
                await jetstream.publish(self._subject(lane), document, stream=self._stream, headers=headers)
            except APIError as error:
                if error.err_code in WRONG_LAST:
                    return False
                raise
        return True

    @property
    def _stream(self) -> str:
        return f"KV_{self._streams.notes}"

    def _subject(self, lane: str) -> str:
        return f"$KV.{self._streams.notes}.budget.{token(lane)}"
