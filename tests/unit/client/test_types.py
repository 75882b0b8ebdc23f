"""A program's view of the client: what mypy must know of it.

mypy reads this file as it reads all others, and complains of each `type: ignore` that isn't needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import assert_type

from stentor.client import BlockingClient, Client, WatchedEvent, shapes


async def asynchronous(client: Client) -> None:
    campaign = await client.campaigns.create(
        message={"title": "Sale", "apns": {"interruption_level": "passive"}, "translations": {"de": {"title": "x"}}},
        audience={"source": "users", "filters": {"country": ["at"], "plan": {"none_of": ["free"]}}},
        start=True,
    )
    assert_type(campaign, shapes.Campaign)
    assert_type(await client.campaigns.discard(campaign.id, if_match=campaign), None)
    assert_type(client.campaigns.all(state="draft"), AsyncGenerator[shapes.ListedCampaign, None])
    assert_type(client.events(), AsyncGenerator[WatchedEvent, None])
    assert_type((await client.outcomes.report(campaign.id)).reasons, list[shapes.Reason])
    await client.campaigns.create(message={"titel": "x"}, audience={"source": "users"})  # type: ignore[arg-type]
    await client.campaigns.create(message={"title": "x"}, audience={})  # type: ignore[typeddict-item]
    await client.campaigns.test(campaign.id, installations="4711")  # type: ignore[arg-type]
    await client.access.keys.create(name="shop", scope="root")  # type: ignore[arg-type]


def blocking(client: BlockingClient) -> None:
    campaign = client.campaigns.create(message={"title": "Sale"}, audience={"source": "users"})
    assert_type(campaign, shapes.Campaign)
    assert_type(client.campaigns.all(), Iterator[shapes.ListedCampaign])
    assert_type(client.access.keys.create(name="shop", scope="send"), shapes.IssuedKey)
    assert_type(client.events(campaign.id), Iterator[WatchedEvent])
    client.campaigns.create(message={"title": "Sale"}, audience={"source": "users"}, starts=1)  # type: ignore[call-arg]


def test_both_are_there_for_mypy() -> None:
    """They are never run."""
    assert {asynchronous.__annotations__["client"], blocking.__annotations__["client"]} == {"Client", "BlockingClient"}
