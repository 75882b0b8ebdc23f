"""What is made of a lane's files: once for all who ask, anew when they change, and the old one while they are wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stentor.errors import CredentialError, PoolClosed
from stentor.providers.opened import Opened


class Files:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "key"
        self.file.write_text("one")
        self.loads = 0

    async def load(self) -> str:
        self.loads += 1
        await asyncio.sleep(0)
        if "wrong" in (text := self.file.read_text()):
            raise CredentialError("it is wrong")
        return text


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def opened(files: Files) -> Opened[str]:
    return Opened(lambda: [files.file, None], files.load)


async def test_it_is_made_once_for_all_who_ask(opened: Opened[str], files: Files) -> None:
    assert opened.current is None
    assert await asyncio.gather(*(opened.get() for _ in range(5))) == ["one"] * 5
    assert files.loads == 1


async def test_it_is_made_anew_when_a_file_has_changed(opened: Opened[str], files: Files) -> None:
    assert await opened.reload() == (True, None)  # for the first time
    assert await opened.reload() == (False, None)
    files.file.write_text("two")
    assert await opened.reload() == (True, "one")
    assert await opened.get() == "two"
    files.file.unlink()
    with pytest.raises(FileNotFoundError):
        await opened.reload()


async def test_the_old_one_stays_while_the_new_files_are_wrong(opened: Opened[str], files: Files) -> None:
    await opened.get()
    files.file.write_text("wrong")
    for _ in range(2):  # each time, until they are mended
        with pytest.raises(CredentialError):
            await opened.reload()
    assert await opened.get() == "one"
    files.file.write_text("mended")
    assert await opened.reload() == (True, "one")


async def test_what_is_wrong_from_the_start_can_be_mended(opened: Opened[str], files: Files) -> None:
    files.file.write_text("wrong")
    with pytest.raises(CredentialError):
        await opened.get()
    files.file.write_text("mended")
    assert await opened.get() == "mended"


async def test_when_it_is_stopped_nobody_gets_it_and_nothing_is_read(opened: Opened[str], files: Files) -> None:
    coming = asyncio.create_task(opened.get())
    await asyncio.sleep(0)
    opened.stop()
    assert await opened.last() in ("one", None)
    with pytest.raises(PoolClosed):
        await coming
    with pytest.raises(PoolClosed):
        await opened.get()
    loads = files.loads
    assert await opened.reload() == (False, None)
    assert await opened.last() is None
    assert files.loads == loads
