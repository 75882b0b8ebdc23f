"""A kill trial: a campaign that a seed decides all of: its channels, whom faults befall and when, how it ends.

Processes are killed, machines fall asleep, clocks step. Then the campaign is resumed, or cancelled, or its message's
life ends; at last it may be taken back. Afterwards it is held against the simulators' ledgers person by person. A
failure tells the seed, what happened when, and who is at fault.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from typing import Any, Literal

from stentor.errors import InvalidState
from stentor.outcome import Outcome
from stentor.runtime.child import Role
from stentor.simulators.discord import DiscordSetup
from stentor.simulators.telegram import TelegramSetup
from stentor.states import CampaignState
from stentor.testing.roles import MachineClock, RoleProcess, start_role
from tests.integration.kill.running import GLANCE, LOOK, ends_within, suspend, take_back
from tests.integration.kill.stage import (
    CHANNELS,
    PHONES,
    Providers,
    Stage,
    open_providers,
    open_stage,
    prove,
    repeats,
    watch_leases,
)
from tests.integration.ledgers import CHATS

ROLES: tuple[Role, ...] = ("planner", "sender")
Kind = Literal["kill", "sleep", "step"]
Victim = Literal["planner", "sender", "all"]
Ending = Literal["resume", "cancel", "expire"]
OpenStore = Callable[[int], AbstractAsyncContextManager[str]]
KINDS: tuple[Kind, ...] = ("kill", "kill", "kill", "sleep", "step")
VICTIMS: tuple[Victim, ...] = ("planner", "sender", "sender", "all")
ENDINGS: tuple[Ending, ...] = ("resume", "cancel", "cancel", "expire")
MIXTURES: tuple[tuple[str, ...], ...] = (
    *(PHONES, PHONES, PHONES),
    ("webpush", "webhook"),
    ("telegram",),
    ("discord",),
    ("apns", "webpush", "telegram"),
    CHANNELS,
)
SIGNED = frozenset({"apns", "fcm", "webhook"})
"""Channels whose providers refuse what is signed by a clock that is minutes off."""
TOLERATED, AT_ONCE_BACK, HOUR = 200.0, 15.0, 3600.0
"""Seconds by which a clock may be off for these; by which it may stay set back, so that what was put before waits no
longer than a trial has patience; and that a clock steps at most."""
MOST = 150
"""Recipients of a channel at most, where its pace is bounded."""
SHARED: Mapping[str, Any] = {
    "telegram": TelegramSetup(per_second=300.0),
    "discord": DiscordSetup(requests_per_second=300),
}
"""Simulators of as many bots as there are trials at once, each of which keeps to a bot's pace."""
PATIENCE, LONGEST = 90.0, 600.0
"""Seconds without any news after which a trial's campaign counts as stuck, and that a trial may take in all: beside
other work a machine may be slow."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, for whom, and when."""

    kind: Kind
    victim: Victim
    after: float
    """Seconds after the last start."""
    pushes: int
    """How many pushes must have been accepted since besides; 0: it doesn't matter."""
    seconds: float = 0.0
    """For which they sleep, or after which the clock is right again; 0: it stays as it is."""
    by: float = 0.0
    """Seconds by which the clock steps; of machines that sleep, when they wake."""

    @property
    def roles(self) -> tuple[Role, ...]:
        return ROLES if self.victim == "all" else (self.victim,)


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens in a trial."""

    seed: int
    channels: tuple[str, ...]
    recipients: int
    senders: int
    sending: Mapping[str, Any]
    faults: tuple[Fault, ...]
    ending: Ending
    lifetime: float | None
    """Seconds, where it ends by this."""
    wait: float
    """Seconds after the last fault, or the last kill, after which it is cancelled."""
    deserted: bool
    """Whether all are killed before it is cancelled, and started again afterwards."""
    undo: bool


def make_plot(seed: int, largest: int, *, one_clock: bool = True) -> Plot:
    """Moments are drawn from all that such a campaign goes through: half of them by the time since the last start, so
    that they meet processes that begin, wait for leases, or end; half by what was sent since.

    Args:
        one_clock: all processes go by the same.
    """
    draw = random.Random(seed)
    channels = draw.choice(MIXTURES)
    recipients = draw.randrange(largest // 2, largest)
    if channels is not PHONES:
        recipients = min(recipients, MOST * len(channels))
    ending = draw.choice(ENDINGS)
    kinds: list[Kind] = ["kill", *(draw.choice(KINDS) for _ in range(draw.choice((0, 0, 0, 1, 1, 2))))]
    draw.shuffle(kinds)
    return Plot(
        seed=seed,
        channels=channels,
        recipients=recipients,
        senders=draw.choice((1, 1, 2)),
        sending={
            "page": draw.choice((25, 60, 200)),
            "batch": draw.choice((10, 25, 50)),
            "ranges": draw.choice((1, 3)),
            "depth": draw.choice((8, 32, 128)),
        },
        faults=tuple(
            _draw_fault(draw, kind, number, recipients, one_clock=one_clock, signed=not SIGNED.isdisjoint(channels))
            for number, kind in enumerate(kinds)
        ),
        ending=ending,
        lifetime=draw.uniform(1.5, 5.0) if ending == "expire" else None,
        wait=draw.choice((0.0, draw.uniform(0.0, 0.3), draw.uniform(0.0, 2.0))),
        deserted=draw.random() < 0.5,
        undo=draw.random() < 0.5,
    )


def _draw_fault(
    draw: random.Random, kind: Kind, number: int, recipients: int, *, one_clock: bool, signed: bool
) -> Fault:
    victim = draw.choice(VICTIMS)
    if draw.random() < 0.5:
        after, pushes = draw.uniform(0.0, 1.5 if number else 0.5), 0
    else:
        after, pushes = draw.uniform(0.0, 0.02), draw.randrange(1, recipients // 2)
    seconds, by = 0.0, 0.0
    if kind == "sleep":
        victim = draw.choice(("sender", "all"))
        seconds = draw.uniform(0.3, 2.5)
        by = draw.uniform(0.0, TOLERATED) if victim == "all" and one_clock else 0.0
    elif kind == "step":
        by = math.exp(draw.uniform(0.0, math.log(HOUR))) * draw.choice((1.0, -1.0))
        if one_clock and signed and by > 0:
            by = min(by, TOLERATED)  # nobody else could send, and what was put meanwhile would wait for as long
        if by < -AT_ONCE_BACK if one_clock else abs(by) > TOLERATED:
            seconds = draw.uniform(0.2, 3.0)
    return Fault(kind, victim, after, pushes, seconds, by)


@dataclass(slots=True)
class Tale:
    """What a trial, or several, went through."""

    kills: int = 0
    in_midst: int = 0
    """Kills of a sender that was in the midst of it: some had an outcome by then, and others hadn't."""
    repeated: int = 0
    """Pushes that were sent a second time."""
    sleeps: int = 0
    steps: int = 0
    cancelled: int = 0
    expired: int = 0
    """Trials that ended so, of a part of their recipients at least."""
    ambiguous: int = 0
    """Recipients."""
    undone: int = 0
    """Trials."""

    def add(self, other: Tale) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Strike:
    """A moment at which something befell senders."""

    settled: frozenset[str]
    """Who had an outcome."""
    counts: Mapping[str, int]
    """How often each had been sent to."""


@dataclass(slots=True)
class Trial:
    """A trial under way."""

    plot: Plot
    stage: Stage
    processes: ForkServerContext
    clock: MachineClock | None
    """That of all processes; None: each has its own."""
    history: list[str]
    """What happened, and when."""
    tale: Tale = field(default_factory=Tale)
    running: list[tuple[Role, RoleProcess, MachineClock]] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    async def play(self) -> Tale:
        """Go through the plot, and prove it exact."""
        plot, stage = self.plot, self.stage
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._kill)
            self._start(*ROLES)
            for fault in plot.faults:
                if not await _moment_of(fault, stage):
                    break
                await self._befall(fault)
            if plot.ending == "cancel":
                await self._cancel()
            await self._until_the_end()
            ends = [(role, await process.stop()) for role, process, _ in self.running]
            assert all(code == 0 for _, code in ends), ends
        await self._prove()
        if plot.undo:
            self._tell("is taken back")
            await take_back(stage, self.processes, clock=self.clock)
            self.tale.undone += 1
        return self.tale

    async def _until_the_end(self) -> None:
        """Raises: AssertionError: it never comes, or a role died by itself."""
        deadline, last = time.monotonic() + PATIENCE, None
        while not await ends_within(self.stage, LOOK):
            assert all(process.runs for _, process, _ in self.running), "a role died by itself"
            progress = await self.stage.stentor.outcomes.progress(self.stage.campaign_id)
            if (news := (self.stage.pushes, progress.total)) != last:
                deadline, last = time.monotonic() + PATIENCE, news
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing new for {PATIENCE:.0f} s: {await self.stage.state()}, {progress}")
        self._tell("has ended")

    def _start(self, *roles: Role) -> None:
        for role in roles:
            for _ in range(self.plot.senders if role == "sender" else 1):
                clock = self.clock or MachineClock(self.processes)
                self.running.append((role, start_role(self.processes, role, self.stage.config, clock), clock))

    async def _kill(self, *roles: Role) -> None:
        victims = [process for role, process, _ in self.running if role in (roles or ROLES)]
        self.running = [each for each in self.running if each[1] not in victims]
        await asyncio.gather(*(victim.end() for victim in victims))

    async def _befall(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                await self._kill(*fault.roles)
                self._tell(f"kill {fault.victim}")
                self.tale.kills += 1
                if "sender" in fault.roles:
                    strike = await self._strike()
                    self.tale.in_midst += 0 < len(strike.settled) < self.plot.recipients
                self._start(*fault.roles)
            case "sleep":
                self.tale.sleeps += 1
                await self._sleep(fault)
            case "step":
                self.tale.steps += 1
                await self._step(fault)

    async def _sleep(self, fault: Fault) -> None:
        victims = [process for role, process, _ in self.running if role in fault.roles]
        if fault.victim != "all":
            victims = victims[:1]
        for victim in victims:
            await suspend(victim, self.stage.config.store.url)
        self._tell(f"{fault.victim} fall asleep")
        await self._strike()
        await asyncio.sleep(fault.seconds)
        if self.clock is not None:
            self.clock.step(fault.by)
        for victim in victims:
            victim.go_on()
        self._tell(f"{fault.victim} wake up, {fault.by:+.1f} s by the clock")

    async def _step(self, fault: Fault) -> None:
        clock = self.clock or next(clock for role, _, clock in reversed(self.running) if role in fault.roles)
        await self._strike()
        clock.step(fault.by)
        self._tell(f"the clock of {'all' if self.clock else fault.victim} steps by {fault.by:+.1f} s")
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
            await self._strike()
            clock.step(-fault.by)
            self._tell("and is right again")

    async def _cancel(self) -> None:
        if self.plot.deserted:
            await self._kill()
            self._tell("kill all")
            await self._strike()
        if await ends_within(self.stage, self.plot.wait):
            return
        try:
            await self.stage.stentor.campaigns.cancel(self.stage.campaign_id)
        except InvalidState:
            self._tell("is over before it could be cancelled")
        else:
            self._tell("is cancelled")
        if self.plot.deserted:
            self._start(*ROLES)

    async def _strike(self) -> Strike:
        stage = self.stage
        self.strikes.append(Strike(await stage.settled(), await stage.counts()))
        return self.strikes[-1]

    async def _prove(self) -> None:
        stage, tale = self.stage, self.tale
        inherited = await stage.inherited()  # on a busy machine a lease may end under one that works as well
        unsure = frozenset(inherited)
        if self.plot.ending == "resume":  # what replaces the first push is sent again
            unsure = frozenset(key for key in unsure if stage.channels.get(key) in CHATS)
        cancelled = self.plot.ending == "cancel" and await stage.state() is CampaignState.CANCELLED
        state = CampaignState.CANCELLED if cancelled else CampaignState.COMPLETED
        counts = await prove(stage, state=state, unsure=unsure)
        outcomes = list((await stage.outcomes()).values())
        tale.repeated += sum(count - 1 for count in counts.values())
        tale.cancelled += Outcome.CANCELLED in outcomes
        tale.expired += Outcome.EXPIRED in outcomes
        tale.ambiguous += outcomes.count(Outcome.AMBIGUOUS)
        self._check_repeats(counts, inherited)

    def _check_repeats(self, counts: Mapping[str, int], inherited: Mapping[str, int]) -> None:
        """Who was sent to again was in a batch that a sender left unsettled, and had no outcome when it was struck."""
        for key, count in repeats(counts).items():
            times = inherited.get(key, 0)
            assert count <= 1 + times, f"{key} was sent to {count} times, and its batch inherited {times} times"
        for strike in self.strikes:
            again = [key for key in strike.settled if counts.get(key, 0) > strike.counts.get(key, 0)]
            assert not again, f"sent to again although their outcomes were durable: {again[:5]}"

    def _tell(self, what: str) -> None:
        self.history.append(f"{time.monotonic() - self.began:6.2f} s, {self.stage.pushes:4} sent: {what}")


async def _moment_of(fault: Fault, stage: Stage) -> bool:
    """Wait for it. Returns whether it came before the campaign's end."""
    wanted = stage.pushes + fault.pushes
    while fault.pushes and stage.pushes < wanted:
        if await ends_within(stage, GLANCE):
            return False
    return not await ends_within(stage, fault.after)


async def play(
    plot: Plot, url: str, providers: Providers, processes: ForkServerContext, *, first: int, history: list[str]
) -> Tale:
    """Run a trial and prove it exact.

    Args:
        first: the number of its first address.
        history: is told what happens.
    """
    clock = MachineClock(processes) if url.startswith("sqlite") else None
    settings: dict[str, Any] = {"first": first, "recipients": plot.recipients, "lifetime": plot.lifetime}
    if clock is not None:
        settings["clock"] = clock
    async with open_stage(url, providers.some(plot.channels), **settings, **plot.sending) as stage:
        await watch_leases(stage.database)
        return await Trial(plot, stage, processes, clock, history).play()


async def play_all(
    seeds: range, open_store: OpenStore, processes: ForkServerContext, *, largest: int, at_once: int
) -> Tale:
    """Run trials, some at once: most of a trial is waiting for leases to end. Returns what all of them went through.

    Args:
        open_store: gives the URL of an empty store for a seed.
        largest: recipients of a campaign at most.
    """
    turn = asyncio.Semaphore(at_once)
    total = Tale()
    async with open_providers(seed=seeds.start, channels=CHANNELS, options=SHARED) as providers:

        async def trial(seed: int) -> None:
            async with turn, open_store(seed) as url:
                plot = make_plot(seed, largest, one_clock=url.startswith("sqlite"))
                history: list[str] = []
                try:
                    async with asyncio.timeout(LONGEST):
                        tale = await play(
                            plot, url, providers, processes, first=(seed - seeds.start) * largest, history=history
                        )
                except BaseException as error:
                    error.add_note("\n  ".join([f"in the kill trial with seed {seed}: {plot}", *history]))
                    raise
            total.add(tale)

        async with asyncio.TaskGroup() as group:
            for seed in seeds:
                group.create_task(trial(seed))
    return total
