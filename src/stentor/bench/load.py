"""The measured sender of `stentor bench wire`: one process that pushes through the real senders' code.

Run as `python -m stentor.bench.load SPEC`, SPEC a JSON object; prints one JSON object. A process of its own, so that
its CPU time and its memory are the sender's and nobody else's.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import uvloop

from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint, tls_context
from stentor.model import Message
from stentor.providers.apns import wire as apns
from stentor.providers.contract import Encoded, answers, no_doubts
from stentor.providers.fcm import wire as fcm

BATCH = 1000
ADDRESSES = 100_000
"""Distinct addresses, used in turn."""
APNS_BODY = 140
"""Bytes of an APNs payload, the size the other clients are measured with too."""
AUTHORIZATION = b"bearer " + b"x" * 200
WARM_UP = 4 * BATCH

Encode = Callable[[int], Encoded]
"""The burst of the batch with that number."""


class Spec(msgspec.Struct, frozen=True):
    provider: Literal["apns", "fcm"]
    port: int
    ca_file: str
    requests: int
    connections: int
    in_flight: int
    """Batches under way at once."""


class Throughput(msgspec.Struct, frozen=True):
    rate: float
    """Pushes a second, from the first batch after the warm-up to the last answer."""
    cpu_us: float
    """User and system CPU of the whole process for one push, in µs: rendering, the wire, TLS and results."""
    accepted: int
    failed: int
    connections: int
    peak_mb: float
    """Resident memory at its highest, in MiB."""
    quarter_mb: float
    """The same when a quarter of the pushes was done: flat memory shows as no difference."""


def encoder(provider: Literal["apns", "fcm"]) -> Encode:
    """How batches of a plain message are made; all that a real sender does for each recipient is in it."""
    keys = [b"%d" % number for number in range(ADDRESSES)]
    starts = range(0, ADDRESSES, BATCH)
    if provider == "apns":
        tokens = [b"%064x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC834) for number in range(ADDRESSES)]
        rendered = apns.render(_apns_message(), topic="com.example.app", started_at=0.0)
        template = apns.template(rendered, authority=apns.AUTHORITY, authorization=AUTHORIZATION)

        def encode_apns(number: int) -> Encoded:
            start = starts[number % len(starts)]
            ids = apns.push_ids("bench", keys[start : start + BATCH])
            return apns.encode(template, rendered, tokens[start : start + BATCH], ids)

        return encode_apns
    addresses = [b"e%021d:APA91b%0133x" % (number, number * 0x9E3779B97F4A7C15) for number in range(ADDRESSES)]
    fcm_rendered = fcm.render(Message(title="Sale", body="Ends tonight", ttl=3600), started_at=0.0)
    fcm_template = fcm.template(project="bench", authority=fcm.AUTHORITY, authorization=AUTHORIZATION)

    def encode_fcm(number: int) -> Encoded:
        start = starts[number % len(starts)]
        return fcm.encode(fcm_template, fcm_rendered, addresses[start : start + BATCH], 0.0)

    return encode_fcm


def _apns_message() -> Message:
    """A message whose payload has just the size wanted."""
    text = "Ends tonight. "
    size = len(apns.render(Message(title="Sale", body=text), topic="x", started_at=0.0).body)
    return Message(title="Sale", body=text.ljust(len(text) + APNS_BODY - size, "."))


async def push(spec: Spec) -> Throughput:
    endpoint = Endpoint(host="127.0.0.1", port=spec.port, tls=tls_context(ca_file=Path(spec.ca_file)))
    decode, doubts = (apns.decode, no_doubts) if spec.provider == "apns" else (fcm.decode, fcm.doubts)
    encode = encoder(spec.provider)
    accepted = failed = 0

    async def batches(pool: Pool, numbers: Iterator[int]) -> None:
        nonlocal accepted, failed
        for number in numbers:
            encoded = encode(number)
            results = await pool.send(encoded.burst)
            refused = answers(encoded, results, decode, 0.0, doubts)
            failed += len(refused)
            accepted += results.size - len(refused)

    async def run(pool: Pool, requests: int) -> None:
        numbers = iter(range(-(-requests // BATCH)))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(spec.in_flight):
                tasks.create_task(batches(pool, numbers))

    async with Pool(endpoint, PoolOptions(max_connections=spec.connections)) as pool:
        await run(pool, WARM_UP)
        accepted = failed = 0
        wall, cpu = time.perf_counter(), time.process_time()
        await run(pool, spec.requests // 4)
        quarter_mb = peak_mb()
        await run(pool, spec.requests - spec.requests // 4)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        done = accepted + failed
        return Throughput(
            rate=done / wall,
            cpu_us=cpu / done * 1e6,
            accepted=accepted,
            failed=failed,
            connections=pool.state.connections,
            peak_mb=peak_mb(),
            quarter_mb=quarter_mb,
        )


def peak_mb() -> float:
    """Resident memory of this process at its highest, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    measured = uvloop.run(push(msgspec.json.decode(sys.argv[1], type=Spec)))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
