"""`stentor bench`: how fast this machine sends, as ratios measured in one run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stentor.bench import campaign as campaign_bench
from stentor.bench import wire as wire_bench
from stentor.errors import StentorError

app = typer.Typer(help="Measure Stentor on this machine, beside a yardstick in C.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure Stentor on this machine, beside a yardstick in C."""


@app.command()
def wire(
    requests: Annotated[int, typer.Option(min=4_000, help="Pushes for each measurement.")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure the wire: our sender against the fast simulators, and h2load against nghttpd, in one run.

    \b
    Examples:
      stentor bench wire
      stentor bench wire --requests 200000 --json
    """
    found = _measure(lambda say: wire_bench.run(requests, say), as_json=as_json)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        console = Console()
        console.print(_rates(found))
        console.print(_with_latency(found))


@app.command()
def campaign(
    recipients: Annotated[int, typer.Option(min=2, help="Installations to make and send to.")] = 1_000_000,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://… for store and audience. Default: temporary SQLite files."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure a whole campaign: audience, planner, queue, senders, fast simulators, every outcome on disk.

    In a PostgreSQL database all is made in a schema of its own, which is dropped afterwards.

    \b
    Examples:
      stentor bench campaign
      stentor bench campaign --recipients 100000 --json
      stentor bench campaign --database postgresql://stentor@localhost/bench
    """
    found = _measure(lambda say: campaign_bench.run(recipients, database, say), as_json=as_json)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        console = Console()
        console.print(_by_stage(found))
        for line in _in_words(found):
            console.print(line, highlight=False)


def _measure(run: Callable[[Callable[[str], None]], dict[str, Any]], *, as_json: bool) -> dict[str, Any]:
    """Run a bench; on a terminal, say what is being measured."""
    console = Console(stderr=True, quiet=as_json)
    try:
        return run(lambda text: console.print(f"[dim]{text}[/dim]"))
    except (RuntimeError, OSError) as error:
        raise StentorError(f"the bench could not be run: {error}") from error


def _by_stage(found: dict[str, Any]) -> Table:
    """Where the CPU time of our processes goes."""
    table = Table(title=f"CPU of our processes, {found['cpu_us']:.1f} µs a recipient", title_justify="left")
    for heading in ("stage", "µs a recipient", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, cpu in found["stages"].items():
        table.add_row(stage, f"{cpu:.2f}", f"{cpu / found['cpu_us']:.0%}")
    return table


def _in_words(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['recipients']:,} recipients in {found['seconds']:.1f} s: {found['rate']:,} a second"
    if found["ratio_h2load"] is not None:
        yield (
            f"{found['ratio_h2load']:.2f} of h2load's better shape, {found['h2load']['rate']:,} requests/s;"
            f" {found['ratio_h2load_same_shapes']:.2f} of h2load with half of them in each shape"
        )
    yield f"{found['ratio_wire']:.2f} of the wire alone, {found['wire']['rate']:,} pushes/s"
    if found["first_push_seconds"] is not None:
        yield f"first push after {found['first_push_seconds']:.2f} s"
    yield "memory at most: " + ", ".join(f"{each['role']} {each['peak_mb']:.0f} MiB" for each in found["processes"])
    simulated = ", ".join(f"{name} {cpu:.1f} µs" for name, cpu in found["simulator_cpu_us"].items())
    yield f"the simulators on the same machine: {simulated} CPU a push"
    yield f"delivered {found['delivered']:,}, failed {found['failed']:,}"
    yield "audit: exact" if found["exact"] else "[red]audit: not exact[/red]: " + "; ".join(found["problems"])


def _rates(found: dict[str, Any]) -> Table:
    """Everything without latency; the ratios are to h2load."""
    table = Table(title="a client process against a server process", title_justify="left")
    for heading in ("", "pushes/s", "CPU each", "to best h2load", "to same shape", "memory, ¼ → end"):
        table.add_column(heading, justify="right" if heading else "left")
    for shape in wire_bench.SHAPES:
        if yardstick := found["h2load"].get(shape):
            table.add_row(f"h2load, {shape} shape", f"{yardstick['rate']:,}", f"{yardstick['cpu_us']:.1f} µs")
    for shape in wire_bench.SHAPES:
        row = found[shape]
        ratios = ("–" if row[key] is None else f"{row[key]:.2f}" for key in ("ratio", "same_shape_ratio"))
        memory = f"{row['quarter_mb']:.0f} → {row['peak_mb']:.0f} MiB"
        table.add_row(f"Stentor, {shape}", f"{row['rate']:,}", f"{row['cpu_us']:.1f} µs", *ratios, memory)
    return table


def _with_latency(found: dict[str, Any]) -> Table:
    late = found["apns"]["latency"]
    table = Table(
        title=f"{late['median_ms']:.0f} ms median latency, up to {wire_bench.LATENCY_CONNECTIONS} connections",
        title_justify="left",
    )
    for heading in ("", "pushes/s", "CPU each", "of no latency", "of streams / latency", "connections"):
        table.add_column(heading, justify="right" if heading else "left")
    for shape in wire_bench.SHAPES:
        late = found[shape]["latency"]
        shares = (f"{late[key]:.2f}" for key in ("of_no_latency", "of_ceiling"))
        table.add_row(
            f"Stentor, {shape}", f"{late['rate']:,}", f"{late['cpu_us']:.1f} µs", *shares, str(late["connections"])
        )
    return table
