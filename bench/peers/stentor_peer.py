"""Stentor itself, the reference: batches of a thousand through `wire.py` and a pool, as its senders do it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import time

from bench.peers.measure import (
    BEARER,
    DEVICES,
    PROJECT,
    TEXT,
    TITLE,
    TOPIC,
    Peer,
    Send,
    Target,
    apns_tokens,
    fcm_tokens,
    main,
)
from stentor.http2.pool import Pool
from stentor.http2.transport import Endpoint, tls_context
from stentor.model import Message
from stentor.providers.apns import wire as apns
from stentor.providers.contract import Decode, Doubts, Encoded, answers, no_doubts
from stentor.providers.fcm import wire as fcm

BATCH = 1000
MESSAGE = Message(title=TITLE, body=TEXT, sound="default")
FCM_MESSAGE = Message(title=TITLE, body=TEXT)
Encode = Callable[[Sequence[bytes], int], Encoded]


def apns_encoder(target: Target) -> Encode:
    rendered = apns.render(MESSAGE, topic=TOPIC, started_at=time())
    authority = f"localhost:{target.port}"
    template = apns.template(rendered, authority=authority, authorization=BEARER.encode())

    def encode(tokens: Sequence[bytes], serial: int) -> Encoded:
        return apns.encode(template, rendered, tokens, apns.push_ids(f"campaign-{serial}", tokens))

    return encode


def fcm_encoder(target: Target) -> Encode:
    rendered = fcm.render(FCM_MESSAGE, started_at=time())
    authority = f"localhost:{target.port}"
    template = fcm.template(project=PROJECT, authority=authority, authorization=BEARER.encode())
    return lambda tokens, serial: fcm.encode(template, rendered, tokens, time())


def peer(tokens: list[str], encoder: Callable[[Target], Encode], decode: Decode, doubts: Doubts = no_doubts) -> Peer:
    @asynccontextmanager
    async def opened(target: Target) -> AsyncIterator[Send]:
        encode = encoder(target)
        addresses = [token.encode() for token in tokens]
        endpoint = Endpoint(host="localhost", port=target.port, tls=tls_context(ca_file=target.ca_file))
        async with Pool(endpoint) as pool:

            async def send(serial: int) -> None:
                start = serial % DEVICES
                encoded = encode(addresses[start : start + BATCH], serial)
                results = await pool.send(encoded.burst)
                refused = answers(encoded, results, decode, time(), doubts)
                target.accepted += BATCH - len(refused)
                if refused:
                    first = next(iter(refused.values()))
                    target.fail(len(refused), f"{first.status} {first.reason} {first.detail}")

            yield send

    return Peer(opened, unit=BATCH)


if __name__ == "__main__":
    provider = sys.argv[1]
    if provider == "apns":
        main(peer(apns_tokens(), apns_encoder, apns.decode), sys.argv[2:])
    else:
        main(peer(fcm_tokens(), fcm_encoder, fcm.decode, fcm.doubts), sys.argv[2:])
