"""`stentor bench`: how fast this machine sends, as ratios measured in one run."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

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
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not as_json:
            console.print(f"[dim]{text}[/dim]")

    try:
        found = wire_bench.run(requests, say)
    except (RuntimeError, OSError) as error:
        raise StentorError(f"the bench could not be run: {error}") from error
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        console = Console()
        console.print(_rates(found))
        console.print(_with_latency(found))


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
