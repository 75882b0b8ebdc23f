"""What `stentor doctor` finds about the queue where that is NATS: reachable, able, allowed to us, and how full.

Rules: as in `findings`. Whether we may put something is asked by a message that no stream takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from stentor.cli.findings import MIB
from stentor.config import Config
from stentor.counted import counted
from stentor.errors import StentorError
from stentor.findings import Finding, problem, warning
from stentor.queue.contract import PLAN
from stentor.queue.nats import Nats
from stentor.queue.streams import Address, Streams

PATIENCE = 3.0
"""Seconds that a question to the server may take."""
NO_STREAM = "-"
"""A name that no stream can have."""
NOT_THAT_STREAM = 10060
"""Error code: the message isn't for this stream."""
MEND = "Fix that, or `[queue]` in the file: without the queue nothing is planned or sent."


async def check_queue(config: Config) -> list[Finding]:
    """Whether the servers are there, are able to hold our streams, and let us use them; what the streams hold."""
    nats = Nats(config.queue)
    streams = Streams(nats, config.queue.name, config.queue.replicas)
    try:
        client = await nats.client()
        found = [_describe(nats, client)]
        async with nats.trouble():
            jetstream = client.jetstream(timeout=PATIENCE)
            there = await _streams(jetstream, streams)
            if there:
                await _see_that_we_may(jetstream, streams)
    except StentorError as error:
        return [problem("queue", str(error), MEND)]
    finally:
        await nats.aclose()
    if config.queue.replicas > min((each.config.num_replicas or 1 for each in there), default=0):
        found += check_replicas(config.queue.replicas, addresses_of(client))  # those that are there have theirs
    return [*found, *_describe_streams(there)]


def _describe(nats: Nats, client: Client) -> Finding:
    version = client.connected_server_version
    detail = f"{nats.name}: version {version.major}.{version.minor}.{version.patch}, JetStream,"
    return Finding(check="queue", detail=f"{detail} up to {client.max_payload:,} bytes a message")


def addresses_of(client: Client) -> int | None:
    """How many servers the one that we are connected to tells of, itself included; None where it is in no cluster."""
    told = client._server_info  # nothing public says it
    return len(told.get("connect_urls") or ("itself",)) if told.get("cluster") else None


def check_replicas(wanted: int, servers: int | None) -> list[Finding]:
    """Whether there are as many servers as a stream shall have replicas."""
    if wanted <= (servers or 1):
        return []
    there = "the server is in no cluster" if servers is None else f"the servers know of {servers} in their cluster"
    return [
        problem(
            "queue: replicas",
            f"`queue.replicas` is {wanted}, and {there}",
            f"Start {wanted} servers in one cluster, or lower `queue.replicas`. Otherwise no stream can be made.",
        )
    ]


async def _streams(jetstream: JetStreamContext, streams: Streams) -> list[api.StreamInfo]:
    """Those of ours that are there."""
    found = []
    for name in (streams.batches, streams.plan, streams.outcomes, streams.dead, f"KV_{streams.notes}"):
        try:
            found.append(await jetstream.stream_info(name))
        except NotFoundError:
            continue
    return found


async def _see_that_we_may(jetstream: JetStreamContext, streams: Streams) -> None:
    batch, step = Address("doctor", "doctor", "doctor"), Address("doctor", PLAN, "doctor")
    for subject in (streams.subject(batch), streams.subject(step), streams.outcome_subject(batch)):
        try:
            await jetstream.publish(subject, b"", stream=NO_STREAM)
        except APIError as error:
            if error.err_code != NOT_THAT_STREAM:
                raise


def _describe_streams(there: Sequence[api.StreamInfo]) -> list[Finding]:
    if not there:
        return [Finding(check="queue: streams", detail="there are none yet; the first role makes them")]
    told = [
        f"{each.config.name}: {counted(each.state.messages, 'message')}, {each.state.bytes / MIB:,.1f} MiB"
        for each in there
    ]
    found = [Finding(check="queue: streams", detail="; ".join(told))]
    for each in there:
        replicas = (each.cluster and each.cluster.replicas) or []
        if away := [peer.name or "one" for peer in replicas if peer.offline or not peer.current]:
            found.append(
                warning(
                    f"queue: {each.config.name}",
                    f"its replicas on {', '.join(away)} are offline or behind",
                    "Check these servers. With fewer than half of the replicas, everything waits.",
                )
            )
    return found
