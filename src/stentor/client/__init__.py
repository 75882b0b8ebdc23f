"""A client of the API, for programs that send by a Stentor elsewhere: `Client`, and its blocking twin `BlockingClient`.

It needs none of the engine: importing it loads no store, no queue and no provider.

Example:
    async with Client("https://push.example.com", key) as client:
        preview = await client.campaigns.prepare(message={"title": "Sale"}, audience={"source": "users"})
        campaign = await client.campaigns.create(
            message={"title": "Sale"}, audience={"source": "users"}, confirmation=preview.confirmation, start=True
        )
        async for event in client.events(campaign.id):
            print(event.kind)
"""

from __future__ import annotations

from stentor.client.client import BlockingClient, Client
from stentor.client.following import WatchedEvent
from stentor.client.problem import ApiProblem, FieldFault

__all__ = ["ApiProblem", "BlockingClient", "Client", "FieldFault", "WatchedEvent"]
