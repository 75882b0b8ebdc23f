"""Whatever the board and the alerts name is on the pages of metrics of real processes, and the other way round."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Set
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stentor.audience.contract import Selection
from stentor.config import QueueConfig
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.child import Role
from stentor.runtime.doors import address_of, open_door
from stentor.runtime.draft import Draft
from stentor.runtime.plain_http import get
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Supervisor
from tests.integration.runtime.rehearsal import AUDIENCE, rehearse
from tests.integration.runtime.test_probes import provider
from tests.monitoring import LEFT_OUT, expressions, of_board
from tests.promql import read

ROLES: tuple[Role, ...] = get_args(Role)
SCRAPED = frozenset({"job", "instance"})
"""Labels that Prometheus itself gives."""


def labels_by_name(page: str) -> Mapping[str, Set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


def not_shown(page: str) -> Set[str]:
    """The metrics of a page that the board doesn't show: none of their samples is in an expression of its."""
    shown = {name for _, expression, _ in of_board() for name, _ in read(expression).selectors}
    families = text_string_to_metric_families(page)
    return {each.name for each in families if shown.isdisjoint(sample.name for sample in each.samples)}


def unknown(exported: Mapping[str, Set[str]], expression: str, shown: Set[str]) -> list[str]:
    """What an expression, or the text beside it, names that isn't there."""
    query = read(expression)
    missing = [name for name, _ in query.selectors if name not in exported]
    everywhere = SCRAPED.union(*(exported.get(name, set()) for name, _ in query.selectors))
    missing += [
        f"{name}{{{label}}}"
        for name, labels in query.selectors
        for label in sorted(labels - exported.get(name, set()) - SCRAPED)
    ]
    return missing + sorted((query.labels | shown) - everywhere)


async def test_what_is_named_exists_and_what_exists_is_shown(tmp_path: Path, nats_url: str, queue_name: str) -> None:
    with ExitStack() as stack, open_door("127.0.0.1:0") as door:
        faults = {"devices": {"unregistered": 0.3}, "reset": {"refused": 0.1}}
        facts = {name: provider(stack, name, tmp_path / "faults.json", **faults) for name in ("apns", "fcm")}
        config = rehearse(tmp_path, facts, 200)
        config = config.model_copy(update={"queue": QueueConfig(url=nats_url, name=queue_name)})
        async with Stentor(config) as stentor:
            content, everybody = Content(message=Message(title="News")), Selection(source=AUDIENCE)
            campaign = await stentor.campaigns.send(Draft(content, everybody))
            async with Supervisor(config, ROLES, listen="127.0.0.1:0", doors=[door]) as supervisor:
                await stentor.roles.watch(campaign.id)
                async with httpx.AsyncClient(base_url=address_of(config.api, door), timeout=60) as client:
                    assert (await client.get("/v1/me")).status_code == 401
                page = ""
                while not _all_answer(exported := labels_by_name(page)):
                    assert supervisor.address is not None
                    page = (await get(supervisor.address, "/metrics")).body.decode()
                    await asyncio.sleep(0.1)
    found = {where: missing for where, each, shown in expressions() if (missing := unknown(exported, each, shown))}
    assert found == {}
    assert not_shown(page) == LEFT_OUT.keys()
    assert not_shown(page + "# TYPE stentor_new gauge\nstentor_new 1\n") - LEFT_OUT.keys() == {"stentor_new"}
    assert unknown(exported, 'sum by (nobody) (stentor_nothing) / stentor_streams{some="x"}', {"what"}) == [
        "stentor_nothing",
        "stentor_streams{some}",
        "nobody",
        "what",
    ]


def _all_answer(exported: Mapping[str, Set[str]]) -> bool:
    """Whether each role's process is on the page: one that is asked while it is busy may be missing."""
    return {
        "stentor_plan_steps_total",
        "stentor_recipients_rejected_total",
        "stentor_recipients_recorded_total",
        "stentor_queue_tasks",
        "stentor_dead_letters",
        "stentor_api_requests_total",
    } <= exported.keys()
