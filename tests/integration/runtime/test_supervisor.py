"""Processes: started, started again, stopped; nothing outlives whoever started it, and no secret is shown."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stentor.config import Config, SendingConfig, StoreConfig, dump
from stentor.errors import WorkerFailed
from stentor.runtime import supervisor
from stentor.runtime.child import LATER, Role
from stentor.runtime.supervisor import Supervisor
from tests.integration.processes import complaint, is_gone, until

PASSWORD = "correct-horse"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(store=StoreConfig(url=f"sqlite:///{tmp_path}/stentor.db"), sending=SendingConfig(stop_within=1.0))


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a shell script play the worker."""

    def write(script: str) -> None:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\nread settings\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(python))

    return write


def shown(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


async def test_a_worker_that_is_killed_is_started_again(config: Config) -> None:
    async with Supervisor(config, ["planner"]) as found:
        (first,) = found.processes
        os.kill(first, signal.SIGKILL)
        await until(lambda: bool(found.processes) and first not in found.processes)
        assert "the planner ended with signal SIGKILL" in found.problems["planner"]
        found.check()  # which is not its own fault
        (second,) = found.processes
    assert is_gone(second)
    assert found.processes == {}


async def test_pauses_grow_and_last_words_are_told(
    config: Config, play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    play("echo 'a long story' >&2; echo 'the database is broken' >&2; exit 1")
    pauses: list[float] = []
    hopeless = asyncio.Event()

    async def pause(found: Supervisor, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == supervisor.HOPELESS:
            hopeless.set()
            await asyncio.Event().wait() if not found._stopping.is_set() else None

    monkeypatch.setattr(Supervisor, "_pause", pause)
    monkeypatch.setattr(supervisor, "EXTRA", 0.0)
    found = Supervisor(config, ["sender"])
    await found.__aenter__()
    found.check()
    await hopeless.wait()
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    with pytest.raises(WorkerFailed, match=r"the database is broken\. It was started 7 times and died each time"):
        found.check()
    for worker in found._workers:
        assert worker.watcher is not None
        worker.watcher.cancel()
    await found.stop()


async def test_a_worker_that_does_not_stop_is_killed(
    config: Config, play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done")
    monkeypatch.setattr(supervisor, "EXTRA", 0.0)
    async with Supervisor(config, ["planner"]) as found:
        await until((tmp_path / "ready").exists)
        (pid,) = found.processes
    assert is_gone(pid)


async def test_who_does_not_want_to_wait_leaves_nothing_running(
    config: Config, play: Callable[[str], None], tmp_path: Path
) -> None:
    play(f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done")
    found = Supervisor(config, ["planner"])
    await found.__aenter__()
    await until((tmp_path / "ready").exists)
    (pid,) = found.processes
    stopping = asyncio.ensure_future(found.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert is_gone(pid)


async def test_what_cannot_be_started_is_told_of(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    async with Supervisor(config, ["planner"]) as found:
        await until(lambda: bool(found.problems))
    assert "cannot be started: No such file" in found.problems["planner"]


async def test_secrets_are_not_where_others_can_see_them() -> None:
    url = f"postgresql://stentor:{PASSWORD}@127.0.0.1:1/stentor"
    async with Supervisor(Config(store=StoreConfig(url=url)), ["planner", "sender"]) as found:
        assert sorted(found.processes.values()) == ["planner", "sender"]
        for pid in found.processes:
            for name in ("cmdline", "environ"):
                assert PASSWORD.encode() not in shown(pid, name)
        assert PASSWORD not in repr(found)


PARENT = """
import asyncio, sys
from stentor.config import restore
from stentor.runtime.supervisor import Supervisor
from stentor.runtime.child import LATER, Role

async def main():
    async with Supervisor(restore(sys.stdin.buffer.readline()), ["planner", "sender"]) as found:
        print(*found.processes, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_workers_end_with_whoever_started_them(config: Config) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        parent.stdin.write(dump(config) + b"\n")
        parent.stdin.flush()
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(map(is_gone, pids))
        parent.kill()
    asyncio.run(until(lambda: all(map(is_gone, pids))))


def test_a_worker_says_in_a_line_what_is_wrong(tmp_path: Path) -> None:
    config = Config(store=StoreConfig(url=f"sqlite:///{tmp_path}/stentor.db"))  # without tables
    assert "stentor init" in complaint(config, "planner")


async def test_whoever_waits_for_the_store_or_the_queue_is_not_hopeless(
    config: Config, play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is started while a database server is restarted."""
    play(f"echo 'the queue is away' >&2; exit {LATER}")
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.0)
    async with Supervisor(config, ["sender"]) as found:
        await until(lambda: found.restarts["sender"] > supervisor.HOPELESS)
        found.check()
        assert "the queue is away" in found.problems["sender"]


@pytest.mark.parametrize("relay", [True, False])
async def test_what_workers_log_may_be_relayed_and_what_else_they_say_is_logged(
    relay: bool,
    config: Config,
    play: Callable[[str], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = r"printf '\036a line\n' >&2"
    words = "echo 'in one' >&2; printf 'in two ' >&2; echo parts >&2"
    play(f"{log}; {words}; {log}; touch {tmp_path}/ready; exec sleep 60")
    async with Supervisor(config, ["planner"], relay=relay):
        await until((tmp_path / "ready").exists)
    assert capsys.readouterr().err == ("a line\n" * 2 if relay else "")
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == (["planner-1: in one", "planner-1: in two parts"] if relay else [])


async def test_the_log_is_no_last_words(config: Config, play: Callable[[str], None]) -> None:
    play(r"printf '\036a line of the log\n' >&2; echo 'the database is broken' >&2; printf '\036and one\n' >&2; exit 1")
    async with Supervisor(config, ["planner"]) as found:
        await until(lambda: bool(found.problems))
        assert found.problems["planner"] == "the planner ended with exit code 1: the database is broken"


ROLES: tuple[Role, ...] = ("planner", "sender", "sender", "recorder", "scheduler")
AT_WORK = """echo '{"listening":null}'"""
A_START = 0.1
"""Seconds in which a worker that should have waited would be there. Nothing tells of what doesn't happen."""


async def test_what_the_first_push_waits_for_starts_alone(
    config: Config, play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A turn starts when all of the one before are at work."""
    play(f"until test -e {tmp_path}/$3; do sleep 0.01; done; {AT_WORK}; exec sleep 60")
    monkeypatch.setattr(supervisor, "HEAD_START", 60.0)
    monkeypatch.setattr(supervisor, "BREATH", 0.0)
    async with Supervisor(config, ROLES) as found:

        def run() -> list[str]:
            return sorted(found.processes.values())

        assert run() == ["planner", "sender"]
        (tmp_path / "sender").touch()
        await until(found._workers[1].settled.is_set)
        await asyncio.sleep(A_START)
        assert run() == ["planner", "sender"]
        (tmp_path / "planner").touch()
        await until(lambda: run() == ["planner", "recorder", "sender", "sender"])
        await until(found._workers[2].settled.is_set)
        await asyncio.sleep(A_START)
        assert "scheduler" not in run()
        (tmp_path / "recorder").touch()
        await until(lambda: run() == ["planner", "recorder", "scheduler", "sender", "sender"])


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 1"], ids=["which-takes-long", "which-dies"])
async def test_nothing_waits_for_one(
    script: str, config: Config, play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(f"test $3 = planner || {{ {AT_WORK}; exec sleep 60; }}; {script}")
    monkeypatch.setattr(supervisor, "HEAD_START", 0.2 if "sleep" in script else 60.0)
    monkeypatch.setattr(supervisor, "BREATH", 0.0)
    async with Supervisor(config, ROLES) as found:
        await until(lambda: {"recorder", "scheduler"} <= set(found.processes.values()))


async def test_what_waits_for_its_turn_is_not_started_by_a_stop(config: Config, play: Callable[[str], None]) -> None:
    play("exec sleep 60")
    async with Supervisor(config, ROLES) as found:
        await found.stop()
        assert found.processes == {}
        assert [each.process is None for each in found._workers] == [False, False, True, True, True]
