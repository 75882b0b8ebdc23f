"""httpx with HTTP/2, as its documentation says: one `AsyncClient` for all, many requests at once. APNs shape."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx

from bench.peers.measure import BEARER, DEVICES, PAYLOAD, TOPIC, Peer, Send, Target, apns_tokens, main


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Send]:
    constant = {"authorization": BEARER, "apns-topic": TOPIC, "apns-push-type": "alert", "apns-priority": "10"}
    context = ssl.create_default_context(cafile=target.ca_file)
    tokens = apns_tokens()
    async with httpx.AsyncClient(
        http1=False, http2=True, verify=context, base_url=target.url, headers=constant, timeout=60
    ) as client:

        async def send(serial: int) -> None:
            path = f"/3/device/{tokens[serial % DEVICES]}"
            response = await client.post(path, json=PAYLOAD, headers={"apns-id": str(uuid4())})
            if response.status_code == 200:
                target.accepted += 1
            else:
                target.fail(1, f"{response.status_code} {response.text}")

        yield send


if __name__ == "__main__":
    main(Peer(opened, failures=(httpx.HTTPError,)))
