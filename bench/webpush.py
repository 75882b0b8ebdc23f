"""How many browsers a core reaches, encryption included: `python bench/webpush.py`.

`stentor simulate webpush` runs in a process of its own and reads no message (`--no-decrypt`), so that the sender is
measured: the CPU time of this process, all its threads included, for each recipient; and recipients a second of wall
time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from stentor.model import Message, WebPushOptions
from stentor.planning.content import Content
from stentor.providers.lane import CampaignContent
from stentor.providers.webpush.channel import WebPushApp
from stentor.providers.webpush.lane import WebPushLane

BATCH, UNDER_WAY = 1_000, 4
MESSAGE = Message(
    title="Sale", body="Everything must go, tonight only.", webpush=WebPushOptions(url="/sale", icon="/icon.png")
)


@contextlib.contextmanager
def simulator(folder: Path, subscriptions: int, *, decrypt: bool) -> Iterator[dict[str, Any]]:
    """The facts of a running simulator."""
    command = [
        str(Path(sys.executable).with_name("stentor")),
        "simulate",
        "webpush",
        "--port",
        "0",
        "--dir",
        str(folder),
        "--json",
    ]
    command += ["--subscriptions", str(subscriptions), "--decrypt" if decrypt else "--no-decrypt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            facts: dict[str, Any] = json.loads(process.stdout.readline())
            yield facts
        finally:
            process.terminate()
            process.stdout.read()  # its closing words


def addresses_of(file: Path) -> list[bytes]:
    """The subscriptions of a simulator's file."""
    lines = file.read_text().splitlines()[1:]
    return [line.split(",", 2)[2][1:-1].replace('""', '"').encode() for line in lines]


async def measure(facts: dict[str, Any], addresses: list[bytes], rounds: int) -> tuple[int, float, float]:
    """Recipients reached, CPU seconds of this process, wall seconds."""
    names = ("private_key_file", "subject", "ca_file", "allow_private_endpoints")
    lane = WebPushLane(WebPushApp(**{name: facts[name] for name in names}), "bench", time.time)
    campaign = CampaignContent(
        id="bench", content=Content(message=MESSAGE), started_at=time.time(), collapse_id="bench"
    )
    prepared = await lane.prepare(campaign)
    reached, keys = 0, [b"%d" % number for number in range(BATCH)]
    limit = asyncio.Semaphore(UNDER_WAY)

    async def fly(start: int) -> None:
        nonlocal reached
        async with limit:
            part = addresses[start : start + BATCH]
            flight = await lane.begin(prepared, keys[: len(part)], part)
            await flight.done()
            assert not flight.answers(time.time())
            flight.receipts()
            reached += sum(flight.accepted())

    await fly(0)  # connections are made, and the simulator knows the browsers
    await asyncio.gather(*(fly(start) for start in range(0, len(addresses), BATCH)))
    reached = 0
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(fly(start) for _ in range(rounds) for start in range(0, len(addresses), BATCH)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await lane.aclose()
    return reached, cpu, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--browsers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decrypt", action="store_true", help="have the simulator read each message")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator(Path(folder), options.browsers, decrypt=options.decrypt) as facts,
    ):
        addresses = addresses_of(Path(facts["subscriptions_file"]))
        reached, cpu, wall = uvloop.run(measure(facts, addresses, options.rounds))
    sys.stdout.write(
        f"{reached} browsers: {cpu / reached * 1e6:.0f} µs of CPU each, {reached / cpu:.0f}/s a core;"
        f" {reached / wall:.0f}/s in {wall:.1f} s of wall time\n"
    )


if __name__ == "__main__":
    main()
