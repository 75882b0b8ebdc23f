"""`stentor simulate`: a provider on this machine, to rehearse against."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from stentor.counted import counted
from stentor.errors import InvalidConfiguration, StentorError
from stentor.simulators.apns import ApnsSetup, ApnsSimulator
from stentor.simulators.apns.credentials import KeyFile
from stentor.simulators.discord import DiscordSetup, DiscordSimulator
from stentor.simulators.fast import FastSimulator
from stentor.simulators.faults import Faults, load_faults
from stentor.simulators.fcm import FcmSetup, FcmSimulator
from stentor.simulators.simulator import Simulator
from stentor.simulators.telegram import TelegramSetup, TelegramSimulator
from stentor.simulators.webhook import WebhookSetup, WebhookSimulator
from stentor.simulators.webpush import WebPushSetup, WebPushSimulator

app = typer.Typer(
    help="Imitate a provider on this machine: real TLS and HTTP/2, a ledger, and faults on request.",
    no_args_is_help=True,
)


class Mode(StrEnum):
    STRICT = "strict"
    FAST = "fast"


Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on. 0 takes any free port.")]
ControlPort = Annotated[
    int,
    typer.Option(
        min=0, max=65_535, help="The port of the control endpoint (plain HTTP, loopback). 0 takes any free port."
    ),
]
ModeOption = Annotated[
    Mode, typer.Option(help="strict checks every request. fast accepts every request, for benchmarks.")
]
FaultsFile = Annotated[str | None, typer.Option("--faults", help="A JSON or TOML file of faults, or `menu`.")]
Seed = Annotated[
    int, typer.Option(help="The seed for everything random. The same seed gives each device the same fate.")
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", resolve_path=True, help="The folder for the CA and key files. Default: a temporary folder."),
]
Latency = Annotated[
    float,
    typer.Option(min=0.0, help="Median seconds until an answer, in fast mode. In strict mode use the fault `latency`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready, and one at the end.")]


@app.command()
def apns(
    port: Port = 2197,
    control_port: ControlPort = 0,
    mode: ModeOption = Mode.STRICT,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    latency: Latency = 0.0,
    as_json: AsJson = False,
    topic: Annotated[list[str] | None, typer.Option(help="A bundle id to allow. Repeatable. Default: any.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Behave like the sandbox: send `apns-unique-id` in answers.")
    ] = False,
    max_streams: Annotated[
        int, typer.Option(help="The limit of streams after the first authenticated request.")
    ] = 1_000,
    key_file: Annotated[Path | None, typer.Option(help="Accept this .p8 key, instead of making one.")] = None,
    key_id: Annotated[str, typer.Option(help="The key id of --key-file.")] = "",
    team_id: Annotated[str, typer.Option(help="The team id of --key-file.")] = "",
    watch: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="In fast mode, tell at the end when requests to tokens that begin so came."),
    ] = None,
) -> None:
    """Simulate Apple's APNs (HTTP/2 provider API).

    \b
    Examples:
      stentor simulate apns --dir ./rehearsal
      stentor simulate apns --port 0 --faults menu --seed 7 --json
      stentor simulate apns --mode fast
    """
    if mode is Mode.FAST:
        if faults:
            raise InvalidConfiguration("--faults is for strict mode; fast mode accepts everything")
        fast = partial(FastSimulator, "apns", port=port, directory=directory, latency=latency, seed=seed, watch=watch)
        _run(fast, as_json=as_json)
        return
    if watch is not None:
        raise InvalidConfiguration("--watch is for fast mode; strict mode has a ledger that tells of all requests")
    if key_file is not None and not (key_id and team_id):
        raise InvalidConfiguration("--key-file needs --key-id and --team-id")
    options = ApnsSetup(
        max_streams=max_streams,
        topics=frozenset(topic) if topic else None,
        environment="sandbox" if sandbox else "production",
        unique_id=sandbox,
    )
    key = KeyFile(key_file, key_id, team_id) if key_file else None
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: ApnsSimulator(options, key=key, **where), as_json=as_json)


@app.command()
def fcm(
    port: Port = 2198,
    control_port: ControlPort = 0,
    mode: ModeOption = Mode.STRICT,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    latency: Latency = 0.0,
    as_json: AsJson = False,
    project: Annotated[str, typer.Option(help="The project id.")] = FcmSetup().project,
    max_streams: Annotated[int, typer.Option(help="The limit of streams per connection.")] = 100,
    token_lifetime: Annotated[int, typer.Option(help="Seconds until an access token expires.")] = 3_599,
    quota: Annotated[int, typer.Option(help="Messages per minute that the project may send.")] = 600_000,
    account_file: Annotated[
        Path | None, typer.Option(help="Accept this service-account file, instead of making one.")
    ] = None,
) -> None:
    """Simulate Firebase Cloud Messaging (HTTP v1), and Google's token endpoint on the same port.

    \b
    Examples:
      stentor simulate fcm --dir ./rehearsal
      stentor simulate fcm --port 0 --token-lifetime 60 --json
      stentor simulate fcm --mode fast
    """
    if mode is Mode.FAST:
        if faults:
            raise InvalidConfiguration("--faults is for strict mode; fast mode accepts everything")
        _run(lambda: FastSimulator("fcm", port=port, directory=directory, latency=latency, seed=seed), as_json=as_json)
        return
    options = FcmSetup(
        project=project,
        max_streams=max_streams,
        access_token_lifetime_s=token_lifetime,
        project_per_minute=quota,
    )
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: FcmSimulator(options, account_file=account_file, **where), as_json=as_json)


@app.command()
def discord(
    port: Port = 2200,
    control_port: ControlPort = 0,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    as_json: AsJson = False,
    rate: Annotated[int, typer.Option(min=1, help="Requests per second that the whole bot may make.")] = 50,
    token_file: Annotated[
        Path | None, typer.Option(help="Accept the bot token in this file, instead of making one.")
    ] = None,
) -> None:
    """Simulate Discord's REST API: a bot's messages to channels and users, and webhooks.

    \b
    Examples:
      stentor simulate discord --dir ./rehearsal
      stentor simulate discord --port 0 --faults menu --seed 7 --json
    """
    options = DiscordSetup(requests_per_second=rate)
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: DiscordSimulator(options, token_file=token_file, **where), as_json=as_json)


@app.command()
def webhook(
    port: Port = 2201,
    control_port: ControlPort = 0,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    as_json: AsJson = False,
    path: Annotated[str, typer.Option(help="The path that messages are posted to.")] = WebhookSetup().path,
    any_path: Annotated[
        bool, typer.Option("--any-path", help="Accept messages at every path, as if there were many receivers.")
    ] = False,
    secret_file: Annotated[
        Path | None, typer.Option(help="A file of secrets to accept, one per line, instead of making one.")
    ] = None,
) -> None:
    """Simulate a gateway that receives signed webhooks (Standard Webhooks), and drops repeated ones.

    \b
    Examples:
      stentor simulate webhook --dir ./rehearsal
      stentor simulate webhook --port 0 --faults menu --seed 7 --json
    """
    options = WebhookSetup(path=path, any_path=any_path)
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: WebhookSimulator(options, secret_file=secret_file, **where), as_json=as_json)


@app.command()
def telegram(
    port: Port = 2199,
    control_port: ControlPort = 0,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    as_json: AsJson = False,
    rate: Annotated[float, typer.Option(min=1.0, help="Messages per second that the bot may send.")] = 30.0,
    migrated: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of groups that have moved to another id.")
    ] = 0.0,
    slow_429: Annotated[bool, typer.Option("--slow-429", help="Wait three seconds before each 429.")] = False,
) -> None:
    """Simulate Telegram's Bot API: messages to chats, and deleting and editing them.

    \b
    Examples:
      stentor simulate telegram --dir ./rehearsal
      stentor simulate telegram --port 0 --migrated 0.1 --json
    """
    options = TelegramSetup(per_second=rate, migrated=migrated, slow_429=slow_429)
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: TelegramSimulator(options, **where), as_json=as_json)


@app.command()
def webpush(
    port: Port = 2202,
    control_port: ControlPort = 0,
    faults: FaultsFile = None,
    seed: Seed = 0,
    directory: Directory = None,
    as_json: AsJson = False,
    subscriptions: Annotated[
        int, typer.Option(min=0, help="How many subscriptions to write to `subscriptions.csv`, for `stentor import`.")
    ] = 1_000,
    decrypt: Annotated[
        bool, typer.Option(help="Decrypt every message with its browser's key. Use `--no-decrypt` for benchmarks.")
    ] = True,
) -> None:
    """Simulate browsers' push services: Mozilla's, Chrome's and Apple's, each on a port of its own.

    \b
    Examples:
      stentor simulate webpush --dir ./rehearsal --subscriptions 100000
      stentor simulate webpush --port 0 --faults menu --seed 7 --json
    """
    options = WebPushSetup(decrypt=decrypt)
    where = _where(port, control_port, faults, seed, directory)
    _run(lambda: WebPushSimulator(options, subscriptions=subscriptions, **where), as_json=as_json)


def _where(port: int, control_port: int, faults: str | None, seed: int, directory: Path | None) -> dict[str, Any]:
    """Where a simulator runs, and what goes wrong in it, as `Simulator` wants it."""
    loaded = load_faults(faults) if faults else Faults()
    return {"port": port, "control_port": control_port, "directory": directory, "seed": seed, "faults": loaded}


def _run(make: Callable[[], Simulator | FastSimulator], *, as_json: bool) -> None:
    """Make the simulator, serve until told to stop, sum up."""
    try:
        _drive(_serve(make(), as_json=as_json))
    except OSError as error:
        raise StentorError(f"the simulator cannot start: {error}") from error


def _drive(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def _serve(simulator: Simulator | FastSimulator, *, as_json: bool) -> None:
    stopped = stop_event()
    async with simulator:
        facts = simulator.facts()
        _say(json.dumps(facts) if as_json else _welcome(facts))
        await stopped.wait()
    summary = simulator.summary()
    _say(json.dumps(summary) if as_json else _closing_words(summary))


def stop_event() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _welcome(facts: dict[str, Any]) -> str:
    width = max(map(len, facts))
    lines = [f"  {name:<{width}}  {value}" for name, value in facts.items() if value is not None]
    return "\n".join([f"{facts['provider']} simulator, ready; stop it with Ctrl-C.", *lines])


def _closing_words(summary: dict[str, Any]) -> str:
    if "cpu_us" in summary:
        return f"accepted {summary['accepted']}, {summary['cpu_us']} µs CPU each"
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(summary["rejected"].items())) or "none"
    duplicates = counted(summary["duplicates"], "duplicate")
    lines = [
        f"accepted {summary['accepted']} ({summary['answered']} answered, {duplicates})",
        f"rejected {rejected}",
        f"connections {summary['connections']}, at most {counted(summary['streams_high_water'], 'stream')} on one",
    ]
    if summary["deleted"] or summary["edited"]:
        lines.append(f"deleted {summary['deleted']}, edited {summary['edited']}")
    if summary["injected"]:
        lines.append("faults " + ", ".join(f"{count} {name}" for name, count in sorted(summary["injected"].items())))
    violations = summary["violations"]
    lines.append(f"HTTP/2 violations {len(violations)}" + "".join(f"\n  {text}" for text in violations[:10]))
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
