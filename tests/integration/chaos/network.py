"""Bad networks: settings by which a role goes through a proxy, and what befalls it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from stentor.config import Config
from stentor.testing.nats import RunningNats
from stentor.testing.proxy import Proxy, Way

Trouble = Callable[[Proxy, float], Awaitable[None]]
"""What happens on a network for so many seconds."""
DELAY = 0.3
BYTES = 3000
"""After which a connection is dropped."""


async def cut(proxy: Proxy, seconds: float) -> None:
    await proxy.cut()
    await asyncio.sleep(seconds)
    await proxy.mend()


async def freeze(proxy: Proxy, seconds: float) -> None:
    proxy.freeze()
    await asyncio.sleep(seconds)
    proxy.thaw()


async def silence_there(proxy: Proxy, seconds: float) -> None:
    proxy.halve(Way.THERE)
    await asyncio.sleep(seconds)
    proxy.thaw()


async def silence_back(proxy: Proxy, seconds: float) -> None:
    proxy.halve(Way.BACK)
    await asyncio.sleep(seconds)
    proxy.thaw()


async def delay(proxy: Proxy, seconds: float) -> None:
    proxy.delay(DELAY)
    await asyncio.sleep(seconds)
    proxy.delay(0)


async def drop_there(proxy: Proxy, seconds: float) -> None:
    proxy.drop(BYTES)
    await asyncio.sleep(seconds / 2)
    proxy.drop(0)
    await asyncio.sleep(seconds / 2)


async def drop_back(proxy: Proxy, seconds: float) -> None:
    proxy.drop(BYTES, Way.BACK)
    await asyncio.sleep(seconds / 2)
    proxy.drop(0, Way.BACK)
    await asyncio.sleep(seconds / 2)


LOSING: tuple[Trouble, ...] = (cut, drop_there, drop_back)
"""Connections are lost, and what was on them."""
TWICE = frozenset({drop_there, drop_back})
"""Those of them that lose one, and then one more, on which the same pushes may be."""
SILENT: tuple[Trouble, ...] = (freeze, silence_there, silence_back)
"""Nothing arrives, and then everything."""


def before_nats(nats: RunningNats) -> Proxy:
    """A proxy before the only server."""
    (node,) = nats.nodes
    return Proxy("127.0.0.1", node.port)


def nats_through(proxy: Proxy, config: Config) -> Config:
    queue = config.queue.model_copy(update={"url": f"nats://127.0.0.1:{proxy.port}"})
    return config.model_copy(update={"queue": queue})


def before_provider(config: Config, app: str) -> Proxy:
    """A proxy before the simulator of an app."""
    where = urlsplit(config.apps[app].url or "")
    assert where.port is not None
    return Proxy("127.0.0.1", where.port)


def provider_through(proxy: Proxy, config: Config, app: str) -> Config:
    where = urlsplit(config.apps[app].url or "")
    changed = config.apps[app].model_copy(update={"url": f"https://{where.hostname}:{proxy.port}"})
    return config.model_copy(update={"apps": {**config.apps, app: changed}})
