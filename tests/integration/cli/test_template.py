"""`stentor template` and `stentor send --template` as commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, write


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def test_templates_are_saved_compared_restored_and_sent(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts))
    file = tmp_path / "sale.toml"
    file.write_text('title = "Sale in {{ city }}"\nttl = 3600\n[translations.de]\ntitle = "Angebot in {{ city }}"\n')
    saved = ("template", "save", "sale", "--message", str(file))
    assert await cluster.run(*saved) == (0, "sale is at version 1: Sale in {{ city }}\n", "")
    file.write_text('title = "Big sale in {{ city }}"\nttl = 3600\n')
    assert (await cluster.json(*saved, "--over", "1", "--json"))["version"] == 2
    code, _, err = await cluster.run("template", "save", "sale", "--title", "Mine", "--over", "1")
    assert (code, "version 2 of sale was saved by" in err, "after version 1 that you saw" in err) == (1, True, True)
    code, out, _ = await cluster.run("template", "compare", "sale", "1")
    assert out.splitlines() == [
        'title: "Sale in {{ city }}" became "Big sale in {{ city }}"',
        'the language de was removed; it was title "Angebot in {{ city }}"',
    ]

    sent = ("send", "--audience", AUDIENCE, "--set", "city=Bern", "--quiet", "--yes", "--template")
    assert await cluster.run(*sent, "sale@1") == (0, "", "")
    shown = await cluster.json("campaign", "show", "last", "--json")
    assert shown["campaign"]["template"] == {"name": "sale", "version": 1}
    assert shown["campaign"]["title"] == "Sale in Bern"
    assert "sale, version 1" in (await cluster.run("campaign", "show", "last"))[1]

    assert (await cluster.run("template", "restore", "sale", "1"))[:2] == (
        0,
        "sale is at version 3: Sale in {{ city }}\n",
    )
    listed = (await cluster.json("template", "versions", "sale", "--json"))["versions"]
    assert [(each["version"], each["restored"]) for each in listed] == [(3, 1), (2, None), (1, None)]
    code, out, _ = await cluster.run("template", "show", "sale@2")
    assert json.loads(out) == {"title": "Big sale in {{ city }}", "ttl": 3600}
    assert "sale 3 (is 1 again)" in " ".join((await cluster.run("template", "list"))[1].split())
    assert await cluster.run("template", "delete", "sale", "--yes") == (0, "Deleted sale.\n", "")
    assert (await cluster.run("template", "list"))[1].startswith("There is no template yet")

    code, _, err = await cluster.run(*sent, "sale")
    assert (code, "template: there is no template 'sale'" in err) == (2, True)
    code, _, err = await cluster.run(*sent, "sale", "--title", "Mine")
    assert (code, "--template NAME has the whole message, so --title can't be given as well" in err) == (2, True)
    assert (await cluster.json("campaign", "show", "last", "--json"))["campaign"]["template"]["name"] == "sale"
