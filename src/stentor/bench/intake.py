"""The measured stream of `stentor bench installations`: what a program that upserts does, in a process of its own.

Run as `python -m stentor.bench.intake`, its `StreamSpec` as one line of JSON on stdin; prints one JSON object.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator

import msgspec
import uvloop

from stentor.bench.load import peak_mb
from stentor.config import Config, StoreConfig
from stentor.runtime.installations import Upserted
from stentor.runtime.stentor import Stentor

LINE = b'{"id":"%016x","token":"%064x","channel":"apns","language":"%s","time_zone":"Europe/Berlin","plan":"pro"}\n'
LINES = 500
"""In a piece of the stream: some 80 KB."""
ODD = 0x9E3779B97F4A7C15
"""Scatters numbers over all 64 bits, as random ids are."""


class StreamSpec(msgspec.Struct, frozen=True):
    """What is to be measured."""

    url: str
    """The store's."""
    rows: int
    language: str
    """Another one than before changes all of them."""


class StreamTaken(msgspec.Struct, frozen=True):
    """A stream that was taken in."""

    upserted: Upserted
    seconds: float
    cpu: float
    """CPU seconds of this process."""
    peak_mb: float
    """Resident memory of this process at its highest, in MiB."""
    quarter_mb: float
    """The same when a quarter of the rows was committed: flat memory shows as no difference."""


def key(number: int) -> str:
    return f"{number * ODD % 2**64:016x}"


async def pieces(spec: StreamSpec) -> AsyncIterator[bytes]:
    """The stream's text."""
    language = spec.language.encode()
    for start in range(0, spec.rows, LINES):
        numbers = range(start, min(start + LINES, spec.rows))
        yield b"".join([LINE % (number * ODD % 2**64, number, language) for number in numbers])


async def take(spec: StreamSpec) -> StreamTaken:
    """Upsert them, and measure it."""
    quarter = 0.0

    def look(done: Upserted) -> None:
        nonlocal quarter
        if not quarter and done.read * 4 >= spec.rows:
            quarter = peak_mb()

    async with Stentor(Config(store=StoreConfig(url=spec.url))) as stentor:
        began, cpu = time.perf_counter(), time.process_time()
        upserted = await stentor.installations.upsert_many(pieces(spec), on_progress=look)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return StreamTaken(upserted, seconds, used, peak_mb(), quarter)


if __name__ == "__main__":
    measured = uvloop.run(take(msgspec.json.decode(sys.stdin.buffer.readline(), type=StreamSpec)))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
