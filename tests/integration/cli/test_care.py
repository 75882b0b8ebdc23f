"""`stentor opt-out`, `stentor exclusion`, and `stentor send --category` as commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, write


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def test_whom_campaigns_leave_alone_is_kept_and_heeded(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts))
    assert await cluster.run("opt-out", "list") == (0, "Nobody said no.\n", "")
    said = "Recorded 2 new opt-outs from messages of the category news.\n"
    assert await cluster.run("opt-out", "add", "1", "2", "--category", "news") == (0, said, "")
    file = tmp_path / "export.csv"
    file.write_text("name,user\nAnna,3\nBert,\nZoe,4\n")
    assert await cluster.json("opt-out", "import", str(file), "--column", "user", "--json") == {"added": 2}
    code, _, error = await cluster.run("opt-out", "import", str(file))
    assert (code, "has no column 'id'; it has name, user. Name one with --column" in error) == (2, True)
    listed = (await cluster.json("opt-out", "list", "--json"))["opt_outs"]
    assert [(each["installation"], each["category"]) for each in listed] == [
        *(("1", "news"), ("2", "news")),
        *(("3", "all"), ("4", "all")),
    ]
    assert await cluster.run("opt-out", "remove", "4") == (0, "Removed 1 opt-out.\n", "")
    names = tmp_path / "staff.txt"
    names.write_text("5\n\n6\n")
    assert await cluster.run("exclusion", "import", "staff", str(names)) == (0, "Added 2 installations to staff.\n", "")
    assert await cluster.run("exclusion", "add", "staff", "7") == (0, "Added 1 installation to staff.\n", "")
    assert await cluster.run("exclusion", "remove", "staff", "7") == (0, "Took 1 installation off staff.\n", "")
    assert await cluster.run("exclusion", "list", "staff") == (0, "5\n6\n", "")
    assert [each["name"] for each in (await cluster.json("exclusion", "list", "--json"))["lists"]] == ["staff"]
    sent = ("send", "--title", "News", "--audience", AUDIENCE, "--category", "news", "--exclude", "staff")
    seen = await cluster.json(*sent, "--dry-run", "--json")
    assert seen["left_out"] == {"Excluded": 2, "OptedOut": 3}
    code, out, _ = await cluster.run(*sent, "--cap", "1 a day", "--dry-run")
    assert (code, "Left out by rules: Excluded 2, OptedOut 3" in out) == (0, True)
    report = await cluster.json(*sent, "--yes", "--json")
    assert (report["left_out"], report["campaign"]["category"]) == (5, "news")
    rest = ("send", "--title", "More", "--audience", AUDIENCE, "--not-reached-by", "News", "--dry-run", "--json")
    assert (await cluster.json(*rest))["left_out"] == {"Excluded": 35, "OptedOut": 1}
    assert await cluster.run("exclusion", "delete", "staff", "--yes") == (0, "Deleted staff.\n", "")
    code, _, error = await cluster.run(*sent, "--dry-run")
    assert (code, "there is no exclusion list 'staff'" in error) == (2, True)
    code, _, error = await cluster.run("send", "--title", "x", "--audience", AUDIENCE, "--cap", "0 a day", "--dry-run")
    assert (code, "leave the cap out" in error) == (2, True)
