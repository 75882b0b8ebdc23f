"""An app's database, settings and simulated providers, for tests of the whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stentor.bench.processes import simulator
from stentor.cli import stage
from stentor.cli.crowd import Crowd
from stentor.config import FILE, Config, load

Facts = Mapping[str, Mapping[str, Any]]
AUDIENCE = stage.AUDIENCE


@contextmanager
def providers() -> Iterator[Facts]:
    """Both strict simulators, in processes of their own."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(simulator(name))[0] for name in ("apns", "fcm")}


def rehearse(folder: Path, facts: Facts, phones: int = 40, *, store: str | None = None, more: str = "") -> Config:
    """The settings for an app's database of so many phones, with `more` of [sending]."""
    write(folder, facts, phones, store=store, more=more)
    return load(folder / FILE, {})


def write(folder: Path, facts: Facts, phones: int = 40, *, store: str | None = None, more: str = "") -> Path:
    """Write database and settings; returns the settings' file."""
    stage.make_database(folder / stage.DATABASE, Crowd(phones))
    text = stage.settings(facts) + "senders = 1\nstop_within = 2.0\n" + more
    if store is not None:
        text = text.replace("sqlite:///stentor.db", store)
    file = folder / FILE
    file.write_text(text)
    return file


def change(folder: Path, statement: str) -> None:
    """Change the app's database."""
    database = sqlite3.connect(folder / stage.DATABASE)
    try:
        database.execute(statement)
        database.commit()
    finally:
        database.close()
