"""`stentor segment` and `stentor send --segment` as commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, providers, write


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def test_segments_are_saved_counted_and_sent_to(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts))
    change(tmp_path, "UPDATE devices SET language = CASE WHEN id % 4 = 0 THEN 'de' END")
    assert await cluster.run("segment", "list") == (0, "There is no saved segment yet.\n", "")
    assert await cluster.run("segment", "save", "german", "language==de") == (0, "Saved german: language = de\n", "")
    file = tmp_path / "filters.json"
    file.write_text(json.dumps([{"field": "language", "relation": "=", "value": "de"}]))
    saved = await cluster.json("segment", "save", "same", "--file", str(file), "--json")
    assert saved["conditions"] == {"language": {"$eq": "de"}}
    listed = (await cluster.json("segment", "list", "--json"))["segments"]
    assert [each["name"] for each in listed] == ["german", "same"]
    assert await cluster.run("segment", "show", "german") == (0, "language = de\n", "")
    code, out, _ = await cluster.run("segment", "count", "german", "--audience", AUDIENCE)
    assert code == 0
    assert out.startswith(f"10 of {AUDIENCE} in: language = de\n  4  fcm/android  language = de\n")
    sent = ("send", "--title", "News", "--audience", AUDIENCE, "--dry-run", "--json")
    assert (await cluster.json(*sent, "--segment", "german"))["recipients"] == 10
    assert (await cluster.json(*sent, "--segment", "not (language = de)"))["recipients"] == 30
    assert await cluster.run("segment", "delete", "same", "--yes") == (0, "Deleted same.\n", "")

    code, out, err = await cluster.run("segment", "save", "bad", "language = de and\n  plan is pro")
    assert (code, out) == (2, "")
    assert "line 2, column 8: expected a comparison" in err
    assert err.endswith("  plan is pro\n       ^\n")
    code, _, err = await cluster.run(*sent, "--segment", "language is de")
    assert code == 2
    assert "language is de\n         ^\n" in err
    code, _, err = await cluster.run(*sent, "--segment", "germna")
    assert code == 2
    assert "there is no segment 'germna'; did you mean german?" in err
