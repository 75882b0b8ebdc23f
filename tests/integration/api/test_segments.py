"""Segments over the API: saved, counted, and given with a campaign, in each of their spellings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stentor.access.scopes import Scope
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem
from tests.integration.runtime.rehearsal import AUDIENCE, change


@pytest.fixture(autouse=True)
def languages(service: Service, tmp_path: Path) -> None:
    """Of 40 phones every fourth speaks German, and every fifth says nothing of its language."""
    change(tmp_path, "UPDATE devices SET language = 'en'")
    change(tmp_path, "UPDATE devices SET language = 'de' WHERE id % 4 = 0")
    change(tmp_path, "UPDATE devices SET language = NULL WHERE id % 5 = 0")


def draft(segment: Any) -> dict[str, Any]:
    return {**DRAFT, "audience": {"source": AUDIENCE, "segment": segment}}


async def test_segments_are_saved_listed_counted_and_deleted(service: Service) -> None:
    saved = await service.made("PUT", "/segments/german", {"segment": {"language": {"$in": ["de"]}}})
    assert (saved["name"], saved["segment"]) == ("german", "language in [de]")
    assert saved["conditions"] == {"language": {"$in": ["de"]}}
    await service.made("PUT", "/segments/silent", {"segment": "language not exists"})
    first = await service.made("GET", "/segments?limit=1")
    assert [each["name"] for each in first["segments"]] == ["german"]
    rest = await service.made("GET", f"/segments?after={first['next']}")
    assert ([each["name"] for each in rest["segments"]], rest["next"]) == (["silent"], None)
    assert await service.made("GET", "/segments/german") == saved
    counted = await service.made("POST", "/segments/count", {"audience": AUDIENCE, "segment": "german"})
    assert (counted["count"], counted["about"], counted["segment"]) == (8, False, "language in [de]")
    assert counted["samples"][0] == {"installation": "4", "lane": "fcm/android", "values": {"language": "de"}}
    await service.made("DELETE", "/segments/german", status=204)
    assert problem(await service.ask("GET", "/segments/german")) == "not-found"
    assert problem(await service.ask("DELETE", "/segments/german")) == "not-found"


async def test_who_may_only_view_sees_no_segment(service: Service) -> None:
    """A condition may name a person as an address would."""
    body = {"audience": AUDIENCE, "segment": "language = de"}
    assert problem(await service.ask("POST", "/segments/count", body, scope=Scope.VIEW)) == "forbidden"
    assert problem(await service.ask("GET", "/segments", scope=Scope.VIEW)) == "forbidden"
    made = await service.made("POST", "/campaigns", draft("id = 4"), status=201)
    seen = await service.ask("GET", f"/campaigns/{made['id']}", scope=Scope.VIEW)
    assert "segment" not in seen.json()["audience"]


@pytest.mark.parametrize(
    "segment",
    [
        "language = de",
        {"language": "de"},
        [{"field": "language", "relation": "=", "value": "de"}],
        '{"language": "de"}',
    ],
    ids=["text", "json", "onesignal", "json as text"],
)
async def test_a_campaign_takes_each_spelling(service: Service, segment: Any) -> None:
    assert (await service.made("POST", "/campaigns/preview", draft(segment)))["recipients"] == 8
    made = await service.made("POST", "/campaigns", draft(segment), status=201)
    assert made["audience"] == {"source": AUDIENCE, "segment": "language = de"}


async def test_an_error_in_a_segment_names_its_place(service: Service) -> None:
    for body, said in [
        (draft("language is de"), "column 10: expected a comparison"),
        (draft({"language": {"$near": 1}}), "language.$near is not supported: a segment knows no places"),
        (draft([{"field": "location"}]), "filter 0: `location`"),
    ]:
        answer = await service.ask("POST", "/campaigns/preview", body)
        assert problem(answer) == "invalid-input"
        (found,) = answer.json()["errors"]
        assert said in found["detail"]
        assert found["pointer"].endswith("/segment")
    unknown = await service.ask("POST", "/campaigns/preview", draft("unknown"))
    assert problem(unknown) == "invalid-input"
    assert "there is no segment 'unknown'" in unknown.json()["detail"]
