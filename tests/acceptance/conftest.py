"""What the pages begin with: the databases of the integration tests, simulators, and a folder with settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import postgres, postgres_server
from tests.integration.runtime.rehearsal import Facts, providers, write

__all__ = ["postgres", "postgres_server"]

PHONES = 40


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    """How simulators of the providers are reached."""
    with providers() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with settings for an audience `users` of so many phones."""
    write(tmp_path, facts, PHONES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STENTOR_CONFIG", raising=False)
    return tmp_path
