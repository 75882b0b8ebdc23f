"""`stentor bench`: how fast this machine sends, as ratios measured in one run."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from stentor.bench import api as api_bench
from stentor.bench import campaign as campaign_bench
from stentor.bench import cluster as cluster_bench
from stentor.bench import installations as installations_bench
from stentor.bench import pages as pages_bench
from stentor.bench import scaling as scaling_bench
from stentor.bench import wire as wire_bench
from stentor.counted import counted
from stentor.errors import InvalidConfiguration, StentorError

app = typer.Typer(
    help="Measure Stentor on this machine, and compare it with a load generator in C.", no_args_is_help=True
)

NatsUrl = Annotated[
    str | None,
    typer.Option("--nats", metavar="URL", help="The NATS to use, nats://…. Default: start one for the measurement."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="The database to use, postgresql://…. Default: start one for the measurement."
    ),
]
Found = dict[str, Any]
"""What a bench has measured, as its JSON has it."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def bench() -> None:
    """Measure Stentor on this machine, and compare it with a load generator in C."""


@app.command()
def wire(
    requests: Annotated[int, typer.Option(min=4_000, help="How many pushes each measurement sends.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure the wire: our sender against the fast simulators, and h2load against nghttpd, in one run.

    \b
    Examples:
      stentor bench wire
      stentor bench wire --requests 200000 --json
    """
    _report(
        lambda say: wire_bench.run(requests, say),
        lambda found: [_rates(found), _with_latency(found)],
        as_json=as_json,
    )


@app.command()
def campaign(
    recipients: Annotated[int, typer.Option(min=2, help="How many installations to make and send to.")] = 1_000_000,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The database for store and audience, postgresql://…. Default: temporary SQLite files."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a whole campaign: audience, planner, queue, senders, fast simulators, every outcome on disk.

    In a PostgreSQL database, everything is made in a separate schema, which is dropped at the end.

    \b
    Examples:
      stentor bench campaign
      stentor bench campaign --recipients 100000 --json
      stentor bench campaign --database postgresql://stentor@localhost/bench
    """
    _report(
        lambda say: campaign_bench.run(recipients, database, say),
        lambda found: [_by_stage(found), *_in_words(found)],
        as_json=as_json,
    )


@app.command()
def cluster(
    recipients: Annotated[int, typer.Option(min=2, help="How many installations to make and send to.")] = 1_000_000,
    nodes: Annotated[int, typer.Option(min=1, max=5, help="How many NATS servers to start.")] = 1,
    senders: Annotated[int, typer.Option(min=0, max=256, help="How many sender processes. 0: one per CPU core.")] = 0,
    nats: NatsUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Measure the same campaign over NATS JetStream and PostgreSQL, by role, and on SQLite alone, in one run.

    Both servers are started from packages on PyPI, and stopped at the end. If you name your own servers, everything
    made on them is removed.

    \b
    Examples:
      stentor bench cluster
      stentor bench cluster --recipients 2000000 --nodes 3 --json
      stentor bench cluster --nats nats://localhost --database postgresql://stentor@localhost/bench
    """
    _report(
        lambda say: cluster_bench.run(recipients, nodes, senders, (nats, database), say),
        lambda found: [_both_paths(found), *_of_cluster(found)],
        as_json=as_json,
    )


@app.command()
def scaling(
    senders: Annotated[
        str, typer.Option(metavar="N,N", help="The numbers of sender processes to compare.")
    ] = "1,2,4,8",
    seconds: Annotated[float, typer.Option(min=1.0, help="How long each campaign takes at least.")] = 15.0,
    nats: NatsUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Measure how much faster more senders are, over NATS JetStream and PostgreSQL.

    Each sender is limited to 3,000 pushes per second.

    \b
    Examples:
      stentor bench scaling
      stentor bench scaling --senders 1,3 --seconds 30 --json
    """
    numbers = _numbers(senders)
    _report(
        lambda say: scaling_bench.run(numbers, seconds, (nats, database), say),
        lambda found: [_by_senders(found)],
        as_json=as_json,
    )


@app.command()
def installations(
    rows: Annotated[int, typer.Option(min=1_000, help="How many installations each stream has.")] = 500_000,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast the registry takes in installations, and a plain COPY of the same rows, in one run.

    PostgreSQL is started from a package on PyPI, and stopped at the end. If you name your own server, everything made
    on it is removed.

    \b
    Examples:
      stentor bench installations
      stentor bench installations --rows 100000 --json
    """
    _report(
        lambda say: installations_bench.run(rows, database, say),
        lambda found: [_streams(found)],
        as_json=as_json,
    )


@app.command()
def pages(
    campaigns: Annotated[int, typer.Option(min=100, help="How many campaigns the store has.")] = 10_000,
    installations: Annotated[int, typer.Option(min=100, help="How many installations the registry has.")] = 1_000_000,
    failures: Annotated[int, typer.Option(min=100, help="How many failures the newest campaign has.")] = 1_000_000,
    times: Annotated[int, typer.Option(min=1, help="How often each page is asked for.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Measure the server's time for each page of the dashboard, over a large store in a temporary SQLite file.

    \b
    Examples:
      stentor bench pages
      stentor bench pages --campaigns 1000 --failures 10000 --json
    """
    from stentor.api.meter import ApiMeter  # noqa: PLC0415 - no other command here needs a web server
    from stentor.dashboard.cookies import SESSION  # noqa: PLC0415
    from stentor.service.app import application  # noqa: PLC0415

    site = pages_bench.Site(
        open=lambda stentor, config: application(stentor, config, ApiMeter(), asyncio.Event()), cookie=SESSION
    )
    amounts = pages_bench.Amounts(campaigns, installations, failures)
    _report(lambda say: pages_bench.run(amounts, times, site, say), _by_page, as_json=as_json)


@app.command()
def api(
    recipients: Annotated[int, typer.Option(min=2, help="How many installations each campaign has.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How many times each kind of campaign is sent.")] = 4,
    watchers: Annotated[int, typer.Option(min=1, max=500, help="How many connections watch a campaign.")] = 100,
    rows: Annotated[int, typer.Option(min=1_000, help="How many installations to upsert through the API.")] = 500_000,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The database for store and audience: postgresql://…, or `sqlite` for temporary SQLite files."
            " Default: start PostgreSQL for the measurement.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the API during a campaign at full speed: what watchers cost, and how fast requests are answered.

    Each round sends one campaign alone, one that is watched, and one during which a program creates campaigns and
    sends messages. Then installations are upserted, and the recipients of a campaign exported.

    PostgreSQL is started from a package on PyPI, and stopped at the end. If you name your own server, everything made
    on it is removed.

    \b
    Examples:
      stentor bench api
      stentor bench api --recipients 200000 --rounds 1 --json
      stentor bench api --database sqlite
    """
    spec = api_bench.ApiSpec(recipients, rounds, watchers, rows)
    _report(lambda say: api_bench.run(spec, database, say), _of_api, as_json=as_json)


def _numbers(text: str) -> list[int]:
    found = [int(each) for each in text.split(",") if each.strip().isdecimal() and int(each)]
    if len(found) != text.count(",") + 1:
        raise InvalidConfiguration(f"--senders is {text!r}; give numbers with commas between, as 1,2,4")
    return found


def _report(
    run: Callable[[Callable[[str], None]], Found], show: Callable[[Found], Iterable[Table | str]], *, as_json: bool
) -> None:
    """Run a bench, and print what it found, as it is shown to people or as JSON."""
    found = _measure(run, as_json=as_json)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    console = Console(highlight=False)
    for each in show(found):
        console.print(each)


def _measure(run: Callable[[Callable[[str], None]], Found], *, as_json: bool) -> Found:
    """Run a bench; on a terminal, say what is being measured."""
    console = Console(stderr=True, quiet=as_json)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        return run(lambda text: console.print(f"[dim]{text}[/dim]"))
    except (RuntimeError, OSError) as error:
        raise StentorError(f"the bench could not be run: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind, so that the servers and simulators that were started are ended."""
    sys.exit(128 + number)


def _by_stage(found: Found) -> Table:
    """Where the CPU time of our processes goes."""
    table = Table(title=f"CPU of our processes, {found['cpu_us']:.1f} µs a recipient", title_justify="left")
    for heading in ("stage", "µs a recipient", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, cpu in found["stages"].items():
        table.add_row(stage, f"{cpu:.2f}", f"{cpu / found['cpu_us']:.0%}")
    return table


def _in_words(found: Found) -> Iterator[str]:
    yield f"{counted(found['recipients'], 'recipient')} in {found['seconds']:.1f} s: {found['rate']:,} a second"
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
    yield f"accepted {found['accepted']:,}, failed {found['failed']:,}"
    yield "audit: exact" if found["exact"] else "[red]audit: not exact[/red]: " + "; ".join(found["problems"])


def _both_paths(found: Found) -> Table:
    """Where the CPU time of our processes goes, over NATS and PostgreSQL and embedded."""
    table = Table(title="CPU of our processes, µs a recipient", title_justify="left")
    for heading in ("stage", "cluster", "embedded"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    paths = [found["cluster"], found["embedded"]]
    for role in dict.fromkeys(role for path in paths for role in path["roles"]):
        table.add_row(f"[bold]{role}", *(f"[bold]{_cpu(path['roles'], role)}" for path in paths))
        inner = dict.fromkeys(stage for path in paths for stage in path["stages"] if stage.startswith(f"{role}."))
        for stage in inner:
            table.add_row(f"  {stage}", *(_cpu(path["stages"], stage) for path in paths))
    table.add_row("[bold]sum", *(f"[bold]{path['cpu_us']:.2f}" for path in paths))
    return table


def _cpu(account: dict[str, float], name: str) -> str:
    return f"{account[name]:.2f}" if name in account else "–"


def _of_cluster(found: Found) -> Iterator[str]:
    yield f"{found['ratio']:.2f} of the embedded path's CPU"
    for name in ("cluster", "embedded"):
        path = found[name]
        first = path["first_push_seconds"]
        yield (
            f"{name}: {counted(found['recipients'], 'recipient')} in {path['seconds']:.1f} s, {path['rate']:,} a second"
            + ("" if first is None else f"; first push after {first:.2f} s")
        )
    queue, store = found["servers"]["nats"], found["servers"]["postgresql"]
    if queue["cpu_us"] is not None:
        messages, size = queue["messages_a_batch"], queue["bytes_a_recipient"]
        yield (
            f"NATS: {queue['cpu_us']:.1f} µs a recipient, {queue['peak_mb']:.0f} MiB;"
            f" {messages['in']:.1f} messages a batch in, {messages['out']:.1f} out; {size['in']:.0f} bytes a recipient"
            f" in, {size['out']:.0f} out; stored {queue['most_stored_mb']:.1f} MiB at most"
        )
    ours = "" if store["cpu_us"] is None else f"{store['cpu_us']:.1f} µs a recipient, {store['peak_mb']:.0f} MiB; "
    writes = "" if store["writes_a_batch"] is None else f", {store['writes_a_batch']:.2f} writing statements a batch"
    yield (
        f"PostgreSQL: {ours}{store['wal_bytes_a_recipient']:.0f} bytes of log and"
        f" {store['table_bytes_a_recipient']:.0f} of tables a recipient{writes}"
    )
    path = found["cluster"]
    yield "memory at most: " + ", ".join(f"{each['role']} {each['peak_mb']:.0f} MiB" for each in path["processes"])
    simulated = ", ".join(f"{name} {cpu:.1f} µs" for name, cpu in path["simulator_cpu_us"].items())
    yield f"the simulators on the same machine: {simulated} CPU a push"
    yield f"accepted {path['accepted']:,}, failed {path['failed']:,}"
    for name in ("cluster", "embedded"):
        problems = "; ".join(found[name]["problems"])
        yield f"{name}: audit: exact" if found[name]["exact"] else f"{name}: [red]audit: not exact[/red]: {problems}"


def _by_senders(found: Found) -> Table:
    title = f"each sender held to {found['held_to']:,}/s: {found['streams']} streams, "
    table = Table(title=f"{title}{found['latency_ms']:.0f} ms", title_justify="left")
    for heading in ("senders", "pushes/s", "a sender", "of linear", "CPU each", "audit"):
        table.add_column(heading, justify="right")
    for row in found["rows"]:
        table.add_row(
            str(row["senders"]),
            f"{row['rate']:,}",
            f"{row['rate_a_sender']:,}",
            f"{row['linearity']:.2f}",
            f"{row['cpu_us']:.1f} µs",
            "exact" if row["exact"] else "[red]not exact",
        )
    return table


def _streams(found: Found) -> Table:
    title = f"{counted(found['rows'], 'installation')}; COPY takes in {counted(found['copy'], 'row')} a second"
    table = Table(title=title, title_justify="left")
    for heading in ("", "rows/s", "of COPY", "CPU each", "memory, ¼ → end"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in ("new", "unchanged", "changed"):
        row = found[name]
        memory = f"{row['quarter_mb']:.0f} → {row['peak_mb']:.0f} MiB"
        table.add_row(name, f"{row['rate']:,}", f"{row['of_copy']:.2f}", f"{row['cpu_us']:.1f} µs", memory)
    return table


def _of_api(found: Found) -> Iterator[Table | str]:
    table = Table(title="requests during a campaign, in milliseconds", title_justify="left")
    for heading in ("", "p50", "p99", "at most", "requests"):
        table.add_column(heading, justify="right" if heading else "left")
    for what, figure, number in (
        ("create a campaign for all", "create_ms", found["created"]),
        ("create a campaign for one", "create_for_one_ms", found["created"]),
        ("create a campaign, uncounted", "create_uncounted_ms", found["created"]),
        ("send a message: answer", "send_ms", found["messages"]),
        ("send a message: first byte at the provider", "first_byte_ms", found["seen"]),
    ):
        took = found[figure]
        table.add_row(what, *(f"{took[key]:.0f}" if took else "–" for key in ("p50", "p99", "max")), f"{number:,}")
    yield table
    rate, cpu = found["rate"], found["api_cpu_seconds"]
    yield (
        f"{found['ratio']:.3f} of the campaign's rate with {counted(found['watchers'], 'watcher')}:"
        f" {rate['watched']:,} instead of {rate['alone']:,} a second; while requests are answered {rate['asked']:,}"
    )
    yield (
        f"CPU of the API during a campaign: {cpu['watched']:.2f} s instead of {cpu['alone']:.2f} s;"
        f" of the watchers {found['watchers_cpu_seconds']:.2f} s"
    )
    if not found["complete"]:
        yield "[red]some recipients were not accepted[/red]"
    upsert, export = found["upsert"], found["export"]
    yield (
        f"upsert: {counted(upsert['rate'], 'installation')} a second; memory of the API, ¼ → end:"
        f" {upsert['quarter_mb']:.0f} → {upsert['peak_mb']:.0f} MiB"
    )
    yield (
        f"export: {counted(export['csv']['rate'], 'row')} a second as CSV, {export['jsonl']['rate']:,} as JSON Lines;"
        f" memory of the API, before → end: {export['before_mb']:.0f} → {export['peak_mb']:.0f} MiB"
    )


def _rates(found: Found) -> Table:
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


def _with_latency(found: Found) -> Table:
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


def _by_page(found: Found) -> Iterator[Table | str]:
    table = Table(title=f"server time of each page, {counted(found['times'], 'time')} each", title_justify="left")
    for heading in ("page", "first", "median", "slowest", "bytes"):
        table.add_column(heading, justify="left" if heading == "page" else "right")
    for place, page in found["pages"].items():
        table.add_row(
            place,
            f"{page['first_ms']:.1f} ms",
            f"{page['median_ms']:.1f} ms",
            f"{page['slowest_ms']:.1f} ms",
            f"{page['bytes']:,}",
        )
    yield table
    yield f"the first page with its styles and scripts: {found['first_load_bytes']:,} bytes"
