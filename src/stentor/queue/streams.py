"""What Stentor keeps in NATS: its streams, consumers and bucket, by name, and how ids become subjects.

    <name>_batches    work queue   <name>.batch.<lane>.<campaign>.<id>.<edition>, and <lane>! where a task is urgent
    <name>_plan       work queue   <name>.plan.<lane>.<campaign>.<id>.<edition>
    <name>_outcomes   work queue   <name>.outcome.<lane>.<campaign>.<id>
    <name>_dead       30 days      <name>.dead.<lane>.<campaign>.<id>
    <name>_notes      bucket       <kind>.<lane>.<campaign>.<id>, what a holder of a batch left for the next one

Rules: a task's subject says all about it but its payload, and there is one message a subject at most, which makes a put
idempotent for as long as the task is there. All is stored in files, on `queue.replicas` servers. Whoever starts first
makes what is missing; what is there is left as it is, but for the number of replicas.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from nats.js import JetStreamContext, api
from nats.js.errors import BadRequestError, NotFoundError

from stentor.errors import InvalidConfiguration
from stentor.queue.contract import PLAN
from stentor.queue.nats import Nats, StreamGone, together

DUPLICATES = 120.0
"""Seconds for which a stream knows a message that was put by its id, even when it is done."""
DEAD_KEPT = 30 * 86_400.0
"""Seconds for which dead letters are kept."""
NOTES_KEPT = 7 * 86_400.0
"""Seconds after which a note is forgotten whose batch's end was not seen: longer than any message lives."""

NAME_TAKEN = 10058
"""Error code: there is a stream of that name, with another configuration."""

_PLAIN = re.compile(r"[^A-Za-z0-9_/-]")


def token(text: str) -> str:
    """As one token of a subject or key: letters, digits, `_`, `-`, `/`, and `=` with two digits for anything else."""
    return _PLAIN.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), text)


def text_of(token: str) -> str:
    """What `token` was made of."""
    return unquote(token.replace("=", "%"))


URGENT = "!"
"""What follows a lane in the subjects of its urgent tasks: no token that is made of a lane has one."""


def consumer_name(lane: str, *, urgent: bool = False) -> str:
    """What the consumer of a lane is called, or that of its urgent tasks. Of no two the same, as no channel's name has
    a `_`."""
    return f"{'_' if urgent else ''}{token(lane).replace('/', '_')}"


@dataclass(frozen=True, slots=True)
class Address:
    """A task as its subject names it."""

    id: str
    lane: str
    campaign_id: str
    edition: str = ""
    urgent: bool = False

    @property
    def key(self) -> str:
        """`<lane>.<campaign>.<id>`."""
        return f"{token(self.lane)}.{_of_lane(self)}"


class Streams:
    """The names that one `[queue]` uses, and what must be there before they are."""

    def __init__(self, nats: Nats, name: str, replicas: int) -> None:
        self._nats = nats
        self.name: Final = name
        self._replicas = replicas
        self._ready = False
        self._making = asyncio.Lock()
        self._consumers: set[str] = set()
        self.batches: Final = f"{name}_batches"
        self.plan: Final = f"{name}_plan"
        self.outcomes: Final = f"{name}_outcomes"
        self.dead: Final = f"{name}_dead"
        self.notes: Final = f"{name}_notes"
        """The bucket's name; its stream is `KV_<name>_notes`."""

    def stream_of(self, lane: str) -> str:
        """The stream that a lane's tasks are in."""
        return self.plan if lane == PLAN else self.batches

    def subject(self, task: Address) -> str:
        """Where a task is put."""
        return f"{self.lane_subject(task.lane, urgent=task.urgent)}.{_of_lane(task)}.{task.edition or '-'}"

    def lane_subject(self, lane: str, *, urgent: bool) -> str:
        """What the subjects of a lane's tasks begin with."""
        kind = "plan" if lane == PLAN else "batch"
        return f"{self.name}.{kind}.{token(lane)}{URGENT if urgent else ''}"

    def outcome_subject(self, task: Address) -> str:
        """Where a batch's outcomes are put."""
        return f"{self.name}.outcome.{task.key}"

    def dead_subject(self, task: Address) -> str:
        """Where a dead letter is put."""
        return f"{self.name}.dead.{task.key}"

    def of_campaign(self, kind: str, campaign_id: str) -> str:
        """A filter for all subjects of a campaign: of its batches, or outcomes."""
        return f"{self.name}.{kind}.*.{token(campaign_id)}.>"

    @staticmethod
    def address(subject: str) -> Address:
        """The task of a subject that is one of ours."""
        parts = subject.split(".")
        lane, campaign_id, task_id = map(text_of, (parts[2].removesuffix(URGENT), *parts[3:5]))
        edition = parts[5] if len(parts) > 5 and parts[5] != "-" else ""
        return Address(task_id, lane, campaign_id, edition, urgent=parts[2].endswith(URGENT))

    async def ready(self) -> None:
        """Returns when all streams are there.

        Raises: QueueUnavailable, InvalidConfiguration: one can't be made, or isn't as we need it.
        """
        if self._ready:
            return
        async with self._making:
            if not self._ready:
                async with self._nats.trouble():
                    jetstream = await self._nats.jetstream()
                    await together(self._ensure(jetstream, config) for config in self._configs())
                self._ready = True

    @asynccontextmanager
    async def use(self) -> AsyncIterator[JetStreamContext]:
        """JetStream with all our streams. Where one turns out to be gone, it is made again before the next use.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        await self.ready()
        try:
            async with self._nats.trouble():
                yield await self._nats.jetstream()
        except StreamGone:
            self.forget()
            raise

    async def consumer(self, lane: str, lease: float, *, urgent: bool = False) -> str:
        """The name of the consumer of a lane, or of its urgent tasks, which is there when this returns.

        Args:
            lease: seconds after which a task that was taken and not heard of is taken by another.
        """
        name = consumer_name(lane, urgent=urgent)
        await self._consumer(self.stream_of(lane), name, f"{self.lane_subject(lane, urgent=urgent)}.>", lease)
        return name

    async def recorders(self, lease: float) -> str:
        """The name of the recorders' consumer, which is there when this returns."""
        await self._consumer(self.outcomes, "recorders", f"{self.name}.outcome.>", lease)
        return "recorders"

    async def _consumer(self, stream: str, name: str, subjects: str, lease: float) -> None:
        if f"{stream}/{name}" in self._consumers:
            return
        config = api.ConsumerConfig(
            durable_name=name,
            filter_subject=subjects,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=lease,
            max_ack_pending=-1,  # what waits for another try counts as well
            max_deliver=-1,  # to the server a release is a delivery; its takers count the deaths, and bury it
        )
        async with self.use() as jetstream:
            await jetstream.add_consumer(stream, config)
        self._consumers.add(f"{stream}/{name}")

    def forget(self) -> None:
        """Look again, before the next use, whether all is there: something wasn't."""
        self._ready = False
        self._consumers.clear()

    def _configs(self) -> list[api.StreamConfig]:
        queue = {
            "retention": api.RetentionPolicy.WORK_QUEUE,
            "storage": api.StorageType.FILE,
            "num_replicas": self._replicas,
            "duplicate_window": DUPLICATES,
        }
        once = {
            "discard": api.DiscardPolicy.NEW,
            "max_msgs_per_subject": 1,
            "discard_new_per_subject": True,
        }
        return [
            api.StreamConfig(name=self.batches, subjects=[f"{self.name}.batch.>"], **queue, **once),  # type: ignore[arg-type]
            api.StreamConfig(name=self.plan, subjects=[f"{self.name}.plan.>"], **queue, **once),  # type: ignore[arg-type]
            api.StreamConfig(name=self.outcomes, subjects=[f"{self.name}.outcome.>"], **queue),  # type: ignore[arg-type]
            api.StreamConfig(
                name=self.dead,
                subjects=[f"{self.name}.dead.>"],
                storage=api.StorageType.FILE,
                num_replicas=self._replicas,
                max_msgs_per_subject=1,
                max_age=DEAD_KEPT,
            ),
            api.StreamConfig(
                name=f"KV_{self.notes}",
                subjects=[f"$KV.{self.notes}.>"],
                storage=api.StorageType.FILE,
                num_replicas=self._replicas,
                max_msgs_per_subject=1,
                max_age=NOTES_KEPT,
                duplicate_window=DUPLICATES,
                allow_rollup_hdrs=True,
                deny_delete=True,
                discard=api.DiscardPolicy.NEW,
            ),
        ]

    async def _ensure(self, jetstream: JetStreamContext, config: api.StreamConfig) -> None:
        assert config.name is not None
        try:
            there = (await jetstream.stream_info(config.name)).config
        except NotFoundError:
            try:
                await jetstream.add_stream(config)
            except BadRequestError as error:
                if error.err_code != NAME_TAKEN:
                    raise
                there = (await jetstream.stream_info(config.name)).config  # somebody else made it just now
            else:
                return
        wanted = (config.retention or api.RetentionPolicy.LIMITS, config.max_msgs_per_subject, config.discard)
        found = (there.retention, there.max_msgs_per_subject, there.discard)
        if wanted != found or there.subjects != config.subjects:
            raise InvalidConfiguration(
                f"{self._nats.name} has a stream {config.name} that isn't as Stentor makes it; delete it if nobody"
                " needs it any more, or choose another `queue.name`."
            )
        if there.num_replicas != config.num_replicas:
            there.num_replicas = config.num_replicas
            await jetstream.update_stream(there)


def _of_lane(task: Address) -> str:
    """`<campaign>.<id>`."""
    return f"{token(task.campaign_id)}.{token(task.id)}"
