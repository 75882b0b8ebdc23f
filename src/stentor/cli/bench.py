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
        Console().print(_table(found))


def _table(found: dict[str, Any]) -> Table:
    table = Table(title="One process each for client and server; ratios to h2load's better shape")
    for heading in ("", "pushes/s", "CPU a push", "ratio", "same shape", "connections", "memory"):
        table.add_column(heading, justify="left" if not heading else "right")
    for shape in wire_bench.SHAPES:
        yardstick = found["h2load"].get(shape)
        if yardstick:
            table.add_row(f"h2load, {shape}'s shape", f"{yardstick['rate']:,}", f"{yardstick['cpu_us']:.1f} µs")
    for shape in wire_bench.SHAPES:
        row = found[shape]
        memory = f"{row['quarter_mb']:.0f} → {row['peak_mb']:.0f} MB"
        ratios = ["–" if row[key] is None else f"{row[key]:.2f}" for key in ("ratio", "same_shape_ratio")]
        cells = (f"{row['rate']:,}", f"{row['cpu_us']:.1f} µs", *ratios, str(row["connections"]), memory)
        table.add_row(f"Stentor, {shape}", *cells)
        late = row["latency"]
        share = f"{late['of_no_latency']:.2f} of no latency, {late['of_ceiling']:.2f} of what streams allow"
        table.add_row(
            f"  {late['median_ms']:.0f} ms latency", f"{late['rate']:,}", f"{late['cpu_us']:.1f} µs", "", "",
            str(late["connections"]),
        )
        table.add_row(f"    {share}")
    return table
