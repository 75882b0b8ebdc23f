"""`Client` and `BlockingClient`: the parts of the API under one key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator
from types import TracebackType
from typing import Self

from stentor.client import blocking_calls, calls
from stentor.client.address import address
from stentor.client.connection import ApiConnection, path
from stentor.client.following import WatchedEvent, follow
from stentor.twin import iterated, refuse_within_a_loop, run

TIMEOUT = 60.0
"""Seconds for which an answer may be silent."""
PATIENCE = 60.0
"""Seconds for which a request is tried again."""


class Client:
    """The API of a Stentor. Use as a context manager.

    Every method raises `ApiProblem` if the API refuses what is asked for, or cannot be reached. A request that was lost
    or may be answered a little later is tried again by itself; nothing is done twice by that.

    Args:
        base_url: where the API is, e.g. `https://push.example.com`. Left out: the variable STENTOR_URL.
        key: an API key. Left out: the variable STENTOR_KEY. It is shown nowhere.
        timeout: seconds for which an answer may be silent.
        patience: seconds for which a request is tried again, and for which a broken stream is connected again.
        tls: of https. Left out: certificates that the system trusts.

    Raises: InvalidConfiguration: the address or the key is missing, or cannot be one.
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connection = ApiConnection(address(base_url, key), timeout=timeout, patience=patience, tls=tls)
        self.campaigns = calls.CampaignsCalls(self._connection)
        self.outcomes = calls.OutcomesCalls(self._connection)
        self.series = calls.SeriesCalls(self._connection)
        self.messages = calls.MessagesCalls(self._connection)
        self.segments = calls.SegmentsCalls(self._connection)
        self.templates = calls.TemplatesCalls(self._connection)
        self.care = calls.CareCalls(self._connection)
        self.installations = calls.InstallationsCalls(self._connection)
        self.lanes = calls.LanesCalls(self._connection)
        self.queue = calls.QueueCalls(self._connection)
        self.reports = calls.ReportsCalls(self._connection)
        self.access = calls.AccessCalls(self._connection)

    def __repr__(self) -> str:
        return f"<Client of {self._connection.url}>"

    def events(self, campaign: str | None = None) -> AsyncGenerator[WatchedEvent, None]:
        """What happens to a campaign until its end, or to all campaigns and lanes for as long as you like.

        The first event is the whole state, also after each reconnect. The last one of a campaign is `end`.

        Args:
            campaign: left out: all of them.
        """
        watched = "/v1/events" if campaign is None else path("/v1/campaigns/{campaign}/events", campaign=campaign)
        return follow(self._connection, watched)

    async def __aenter__(self) -> Self:
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.aclose()


class BlockingClient:
    """The parts of `Client`, each of whose operations returns when it is done. For use by one thread.

    Use as a context manager. Each method takes, returns and raises what `Client`'s of the same name does.

    Raises:
        RuntimeError: an event loop runs in this thread already.

    Example:
        with BlockingClient("https://push.example.com", key) as client:
            campaign = client.campaigns.create(message={"title": "Sale"}, audience={"source": "users"})
            print(client.campaigns.start(campaign.id, expect_recipients=100_000).state)
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = Client(base_url, key, timeout=timeout, patience=patience, tls=tls)
        self._runner = asyncio.Runner()
        self.campaigns = blocking_calls.BlockingCampaignsCalls(self._client.campaigns, self._runner)
        self.outcomes = blocking_calls.BlockingOutcomesCalls(self._client.outcomes, self._runner)
        self.series = blocking_calls.BlockingSeriesCalls(self._client.series, self._runner)
        self.messages = blocking_calls.BlockingMessagesCalls(self._client.messages, self._runner)
        self.segments = blocking_calls.BlockingSegmentsCalls(self._client.segments, self._runner)
        self.templates = blocking_calls.BlockingTemplatesCalls(self._client.templates, self._runner)
        self.care = blocking_calls.BlockingCareCalls(self._client.care, self._runner)
        self.installations = blocking_calls.BlockingInstallationsCalls(self._client.installations, self._runner)
        self.lanes = blocking_calls.BlockingLanesCalls(self._client.lanes, self._runner)
        self.queue = blocking_calls.BlockingQueueCalls(self._client.queue, self._runner)
        self.reports = blocking_calls.BlockingReportsCalls(self._client.reports, self._runner)
        self.access = blocking_calls.BlockingAccessCalls(self._client.access, self._runner)

    def __repr__(self) -> str:
        return f"<BlockingClient of {self._client._connection.url}>"

    def events(self, campaign: str | None = None) -> Iterator[WatchedEvent]:
        """See `Client.events`."""
        return iterated(self._runner, self._client.events(campaign))

    def __enter__(self) -> Self:
        refuse_within_a_loop("Client", "BlockingClient")
        run(self._runner, self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            run(self._runner, self._client.__aexit__(kind, error, traceback))
        finally:
            self._runner.close()
