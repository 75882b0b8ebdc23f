"""aioapns, as its README says for many notifications: one `APNs` client, many `send_notification` at once.

It finds the request that an answer belongs to by the answer's `apns-id`.
One connection: a new one may carry a single stream until its first answer, and aioapns starts with a thousand.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol
from aioapns.exceptions import ConnectionError as NoConnection
from aioapns.exceptions import MaxAttemptsExceeded

from bench.peers.measure import DEVICES, PAYLOAD, TOPIC, Peer, Send, Target, apns_tokens, main


def key(target: Target) -> str:
    return Path(target.facts["key_file"]).read_text()


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Send]:
    class Simulated(APNsProductionClientProtocol):
        APNS_SERVER = "localhost"
        APNS_PORT = target.port

    logging.getLogger("aioapns").setLevel(logging.CRITICAL)  # what fails is counted
    context = ssl.create_default_context(cafile=target.ca_file)
    context.set_alpn_protocols(["h2"])  # aioapns offers no ALPN by itself; a strict server wants it
    client = APNs(
        key=key(target),
        key_id=target.facts["key_id"],
        team_id=target.facts["team_id"],
        topic=TOPIC,
        max_connections=1,
        ssl_context=context,
    )
    client.pool.protocol_class = Simulated
    tokens = apns_tokens()

    async def send(serial: int) -> None:
        request = NotificationRequest(tokens[serial % DEVICES], PAYLOAD, push_type=PushType.ALERT, priority=10)
        result = await client.send_notification(request)
        if result.is_successful:
            target.accepted += 1
        else:
            target.fail(1, f"{result.status} {result.description}")

    yield send
    client.pool.close()


if __name__ == "__main__":
    main(Peer(opened, failures=(NoConnection, MaxAttemptsExceeded)))
