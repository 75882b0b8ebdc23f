"""What happens to campaigns, as it happens: server-sent events (WHATWG HTML, 9.2), connected again if they break off.

Rules: after each reconnect the first event is the whole state, so nothing is missed; kinds that this client doesn't
know are left out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from types import MappingProxyType

import msgspec

from stentor.client import shapes
from stentor.client.connection import (
    LOST,
    ApiConnection,
    ApiRequest,
    decoded,
    is_good,
    lost_by,
    may_come_back,
    passes,
    problem_of,
)
from stentor.client.problem import no_answer

WatchedData = (
    shapes.Progress
    | shapes.StateChanged
    | shapes.LaneEvent
    | shapes.Report
    | shapes.EndedCampaign
    | shapes.CampaignsNow
    | shapes.StoreAway
)
KINDS: Mapping[str, type[WatchedData]] = MappingProxyType(
    {
        "snapshot": shapes.Progress,
        "progress": shapes.Progress,
        "state": shapes.StateChanged,
        "problem": shapes.LaneEvent,
        "problem_over": shapes.LaneEvent,
        "report": shapes.Report,
        "end": shapes.EndedCampaign,
        "campaigns": shapes.CampaignsNow,
        "store_away": shapes.StoreAway,
    }
)
"""What each kind of event says."""
END = "end"
EVENT_STREAM = "text/event-stream"
SILENCE = 45.0
"""Seconds of silence after which a connection counts as lost: the service says something every 15."""


class WatchedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""

    kind: str
    """`snapshot`, `progress`, `state`, `problem`, `problem_over`, `report`, `end`, `campaigns` or `store_away`."""
    id: str
    data: WatchedData
    """Its type depends on the kind, see `KINDS`. A `LaneEvent` without a problem says that the problem is over."""


class EventReader:
    """Reads events from pieces of a stream, wherever these are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[bytes, list[bytes]] = {}
        self.last_id = ""
        """What to send as `Last-Event-ID`."""
        self.retry = 0.0
        """Seconds to wait before connecting again, as the service wants it."""

    def feed(self, piece: bytes) -> Iterator[tuple[str, str, bytes]]:
        """Kind, id and data of each event that is whole now."""
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line:
                name, _, value = line.partition(b":")
                self._fields.setdefault(name, []).append(value.removeprefix(b" "))
                continue
            fields, self._fields = self._fields, {}
            if b"id" in fields:
                self.last_id = fields[b"id"][-1].decode(errors="replace")
            if b"retry" in fields and fields[b"retry"][-1].isdigit():
                self.retry = int(fields[b"retry"][-1]) / 1000
            if b"data" in fields:
                kind = fields.get(b"event", [b"message"])[-1].decode(errors="replace")
                yield kind, self.last_id, b"\n".join(fields[b"data"])

    def restart(self) -> None:
        """Forget what of an event came before the connection was lost."""
        self._rest, self._fields = b"", {}


async def follow(connection: ApiConnection, path: str) -> AsyncGenerator[WatchedEvent, None]:
    """Events until the end, or for ever if there is none.

    Raises: ApiProblem: refused, or not to be reached for as long as the client's patience lasts.
    """
    reader, patience = EventReader(), connection.patience()
    while True:
        reader.restart()
        headers = {"Accept": EVENT_STREAM}
        if reader.last_id:
            headers["Last-Event-ID"] = reader.last_id
        request = ApiRequest(method="GET", path=path, headers=headers, silence=SILENCE)
        problem = no_answer("The service ended the stream of events.")
        refused = False
        try:
            async with connection.sent(request) as response:
                if not is_good(response, EVENT_STREAM):
                    problem = problem_of(response, await response.read())
                    refused = not passes(problem)
                else:
                    async for piece in response.content.iter_any():
                        for kind, event_id, data in reader.feed(piece):
                            patience.renew()
                            if kind in KINDS:
                                yield WatchedEvent(kind=kind, id=event_id, data=decoded(response, data, KINDS[kind]))
                            if kind == END:
                                return
        except LOST as error:
            problem, refused = lost_by(error), not may_come_back(error)
        if refused:
            raise problem
        await patience.wait(problem, reader.retry)
