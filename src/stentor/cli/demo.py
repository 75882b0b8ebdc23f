"""`stentor demo`: see the wire work. Real senders, strict simulators with dead devices and faults, an account.

Each provider's simulator is a process of its own. Every push is sent once; what was not accepted is listed by reason,
and the simulators' ledgers say whether the account is right.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stentor.bench.processes import simulator
from stentor.errors import StentorError
from stentor.http2.pool import Pool
from stentor.http2.transport import Endpoint, tls_context
from stentor.model import Message
from stentor.senders.apns import wire as apns
from stentor.senders.apns.credentials import ApnsTokenSource
from stentor.senders.contract import Decode, Encoded, answers
from stentor.senders.fcm import wire as fcm
from stentor.senders.fcm.credentials import FcmTokenSource

BATCH = 1000
IN_FLIGHT = 4
MESSAGE = Message(title="Stentor", body="His voice was as loud as fifty men's.", ttl=3600)
FAULTS = {
    "devices": {"unregistered": 0.01, "malformed": 0.001},
    "goaway": {"every": 4000},
    "reset": {"refused": 0.0005},
}
PROVIDERS = ("apns", "fcm")


@dataclass(slots=True)
class Lane:
    """One provider's share of the demo."""

    name: str
    facts: dict[str, Any]
    summary: dict[str, Any]
    """The simulator's closing words; filled when it has ended."""
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    @property
    def done(self) -> int:
        return self.accepted + self.refused.total()


def demo(
    recipients: Annotated[int, typer.Option(min=2, help="How many pushes to send, half to each provider.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Send to simulated phones on this machine, watch it, and see every one accounted for.

    \b
    Starts a strict APNs and a strict FCM simulator (1 % of the devices are gone, connections are rotated and requests
    refused on the way), pushes to all devices of both at once, and compares the outcome with the simulators' ledgers.

    \b
    Examples:
      stentor demo
      stentor demo --recipients 400000
    """
    console = Console(stderr=as_json, quiet=as_json)
    with ExitStack() as stack:
        faults = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-demo-")), "faults.json")
        faults.write_text(json.dumps(FAULTS))
        options = ("--faults", str(faults), "--seed", "1")
        lanes = [Lane(name, *stack.enter_context(simulator(name, *options))) for name in PROVIDERS]
        start = time.perf_counter()
        uvloop.run(_send_all(lanes, recipients // 2, console))
        seconds = time.perf_counter() - start
    report = _report(lanes, seconds)
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        _show(report, console)
    if not report["exact"]:
        raise StentorError("the account differs from the simulators' ledgers")


async def _send_all(lanes: Sequence[Lane], devices: int, console: Console) -> None:
    columns = (
        TextColumn("{task.description:5}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                bar = progress.add_task(lane.name, total=devices, rate="")
                tasks.create_task(_send_lane(lane, devices, progress, bar))


async def _send_lane(lane: Lane, devices: int, progress: Progress, bar: TaskID) -> None:
    prepare = _prepare_apns if lane.name == "apns" else _prepare_fcm
    encode, decode = await prepare(lane.facts)
    endpoint = Endpoint(host="127.0.0.1", port=lane.facts["port"], tls=tls_context(ca_file=Path(lane.facts["ca_file"])))
    starts = iter(range(0, devices, BATCH))
    began = time.perf_counter()

    async def work(pool: Pool) -> None:
        for start in starts:
            encoded = encode(range(start, min(start + BATCH, devices)))
            results = await pool.send(encoded.burst)
            refused = answers(encoded, results, decode, time.time())
            lane.refused.update(answer.reason for answer in refused.values())
            lane.accepted += len(results.fates) - len(refused)
            lane.connections = max(lane.connections, pool.state.connections)
            rate = lane.done / (time.perf_counter() - began)
            progress.update(bar, completed=lane.done, rate=f"{rate:,.0f}/s")

    async with Pool(endpoint) as pool, asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(work(pool))


Encode = Callable[[range], Encoded]


async def _prepare_apns(facts: dict[str, Any]) -> tuple[Encode, Decode]:
    source = ApnsTokenSource.from_file(
        Path(facts["key_file"]), key_id=facts["key_id"], team_id=facts["team_id"], clock=time.time
    )
    rendered = apns.render(MESSAGE, topic="com.example.app", started_at=time.time(), collapse_id="demo")
    template = apns.template(rendered, authority=apns.AUTHORITY, authorization=await source.authorization())

    def encode(numbers: range) -> Encoded:
        tokens = [b"%064x" % number for number in numbers]
        return apns.encode(template, rendered, tokens, apns.push_ids("demo", tokens))

    return encode, apns.decode


async def _prepare_fcm(facts: dict[str, Any]) -> tuple[Encode, Decode]:
    source = FcmTokenSource.from_file(
        Path(facts["service_account_file"]), clock=time.time, ca_file=Path(facts["ca_file"])
    )
    rendered = fcm.render(MESSAGE, started_at=time.time(), collapse_id="demo")
    template = fcm.template(
        project=facts["project"], authority=fcm.AUTHORITY, authorization=await source.authorization()
    )

    def encode(numbers: range) -> Encoded:
        return fcm.encode(template, rendered, [b"phone%017d:APA91b%0134d" % (number, number) for number in numbers])

    return encode, fcm.decode


def _report(lanes: Sequence[Lane], seconds: float) -> dict[str, Any]:
    """The account, and whether the ledgers agree with it to the last push."""
    found: dict[str, Any] = {"seconds": round(seconds, 2), "rate": round(sum(lane.done for lane in lanes) / seconds)}
    found["lanes"] = {
        lane.name: {
            "pushes": lane.done,
            "accepted": lane.accepted,
            "not_accepted": dict(lane.refused.most_common()),
            "connections": lane.connections,
            "ledger": lane.summary["accepted"],
            "duplicates": lane.summary["duplicates"],
            "violations": len(lane.summary["violations"]),
            "faults": lane.summary["injected"],
        }
        for lane in lanes
    }
    found["exact"] = all(
        lane.accepted == lane.summary["accepted"] and not lane.summary["duplicates"] and not lane.summary["violations"]
        for lane in lanes
    )
    return found


def _show(report: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{report['seconds']} s, {report['rate']:,} pushes/s, all checks of the strict simulators on")
    for heading in ("", "pushes", "accepted", "in the ledger", "duplicates", "not accepted"):
        table.add_column(heading, justify="left" if heading in ("", "not accepted") else "right", overflow="fold")
    for name, lane in report["lanes"].items():
        reasons = ", ".join(f"{count} {reason}" for reason, count in lane["not_accepted"].items()) or "–"
        numbers = [f"{lane[key]:,}" for key in ("pushes", "accepted", "ledger", "duplicates")]
        table.add_row(name, *numbers, reasons)
    console.print(table)
    for name, lane in report["lanes"].items():
        if lane["faults"]:
            console.print(f"{name}: on the way " + ", ".join(f"{n} x {fault}" for fault, n in lane["faults"].items()))
    console.print("[green]exact: every push is accounted for[/green]" if report["exact"] else "[red]not exact[/red]")
