"""Whatever the board and the alerts name is on the pages of metrics of real processes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Set
from contextlib import ExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from stentor.audience.contract import Selection
from stentor.config import QueueConfig
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.child import Role
from stentor.runtime.draft import Draft
from stentor.runtime.plain_http import get
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Supervisor
from tests.integration.runtime.rehearsal import AUDIENCE, rehearse
from tests.integration.runtime.test_probes import provider
from tests.monitoring import expressions
from tests.promql import read

ROLES: tuple[Role, ...] = ("planner", "sender", "recorder", "scheduler")
SCRAPED = frozenset({"job", "instance"})
"""Labels that Prometheus itself gives."""


def labels_by_name(page: str) -> Mapping[str, Set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


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


async def test_each_metric_and_label_that_is_named_exists(tmp_path: Path, nats_url: str, queue_name: str) -> None:
    with ExitStack() as stack:
        faults = {"devices": {"unregistered": 0.3}, "reset": {"refused": 0.1}}
        facts = {name: provider(stack, name, tmp_path / "faults.json", **faults) for name in ("apns", "fcm")}
        config = rehearse(tmp_path, facts, 200)
        config = config.model_copy(update={"queue": QueueConfig(url=nats_url, name=queue_name)})
        async with Stentor(config) as stentor:
            content, everybody = Content(message=Message(title="News")), Selection(source=AUDIENCE)
            campaign = await stentor.campaigns.send(Draft(content, everybody))
            async with Supervisor(config, ROLES, listen="127.0.0.1:0") as supervisor:
                await stentor.roles.watch(campaign.id)
                exported: Mapping[str, Set[str]] = {}
                while not _all_answer(exported):
                    assert supervisor.address is not None
                    exported = labels_by_name((await get(supervisor.address, "/metrics")).body.decode())
                    await asyncio.sleep(0.1)
    found = {where: missing for where, each, shown in expressions() if (missing := unknown(exported, each, shown))}
    assert found == {}
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
    } <= exported.keys()
