"""Stentor as a library: the examples in docstrings run as they stand, and the blocking twin does all its model does."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import textwrap
from operator import attrgetter
from pathlib import Path

import pytest

import stentor
from stentor import BlockingStentor, Content, Message, Selection, Stentor, Translation, load
from stentor.access.caller import local_caller
from stentor.access.csrf import Csrf
from stentor.access.keys import Keys
from stentor.access.log import ActionLog
from stentor.access.oidc import OidcSignIn
from stentor.access.scopes import Scope
from stentor.access.sessions import Sessions
from stentor.access.users import Users
from stentor.errors import InvalidState, StentorError, UnknownCampaign
from stentor.recording.report import Progress
from stentor.runtime.access_control import AccessControl
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.care import CareControl
from stentor.runtime.draft import Draft
from stentor.runtime.installations import Installations
from stentor.runtime.lanes import LaneControl
from stentor.runtime.messages import MessageControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.replies import Replies
from stentor.runtime.reports import Reports
from stentor.runtime.roles import Roles
from stentor.runtime.segments import Segments
from stentor.runtime.series import SeriesControl
from stentor.runtime.templates import TemplateControl
from stentor.states import CampaignState
from tests.acceptance.conftest import PHONES
from tests.integration.runtime.rehearsal import change

PARTS = {
    "campaigns": CampaignControl,
    "series": SeriesControl,
    "messages": MessageControl,
    "outcomes": Outcomes,
    "roles": Roles,
    "queue": QueueControl,
    "lanes": LaneControl,
    "reports": Reports,
    "access": AccessControl,
    "installations": Installations,
    "segments": Segments,
    "care": CareControl,
    "templates": TemplateControl,
}
ACCESS = {
    "access.keys": Keys,
    "access.users": Users,
    "access.sessions": Sessions,
    "access.csrf": Csrf,
    "access.oidc": OidcSignIn,
    "access.log": ActionLog,
}
OPERATED = {name: part for name, part in PARTS.items() if name != "access"} | ACCESS
"""Whatever has operations."""
PUBLIC = [
    (part, name)
    for part, own in OPERATED.items()
    for name, value in vars(own).items()
    if callable(value) and not name.startswith("_")
]


def example(documented: object) -> str:
    text = inspect.getdoc(documented) or ""
    assert "\nExample:\n" in text
    return textwrap.dedent(text.partition("\nExample:\n")[2])


def names() -> dict[str, object]:
    return {name: getattr(stentor, name) for name in stentor.__all__}


async def test_the_example_of_stentor_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = compile(example(Stentor), "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names())
    assert capsys.readouterr().out == f"{PHONES}\n"


def test_the_example_of_the_blocking_twin_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(example(BlockingStentor), names())
    assert capsys.readouterr().out == f"{PHONES}\n"


def test_the_example_of_content_runs() -> None:
    known = names()
    exec(example(Content), known)
    content = known["content"]
    assert isinstance(content, Content)
    assert content.render(content.language_index("de-AT"), {"name": "Ada"}).title == "Hallo Ada"


def test_the_twin_has_every_operation_with_the_same_arguments(folder: Path) -> None:
    # A context and its end: the twin's `run` has its own; what goes on until told; what the twin's end does.
    own = {"at_work", "stop", "serve", "aclose"}
    assert len(PUBLIC) > 15
    with BlockingStentor(load()) as twin:
        for part, name in PUBLIC:
            if name not in own:
                ours = getattr(attrgetter(part)(twin), name)
                expected = [*inspect.signature(getattr(OPERATED[part], name)).parameters]
                assert list(inspect.signature(ours).parameters) == [each for each in expected[1:] if each != "stop"], (
                    name
                )
                assert ours.__doc__, name


def test_the_parts_of_stentor_are_those(folder: Path) -> None:
    found = {name: type(part) for name, part in vars(Stentor(load())).items() if not name.startswith("_")}
    assert found.pop("replies") is Replies, "which is for those who answer requests, and has no twin"
    assert found == PARTS
    access = {f"access.{name}": type(part) for name, part in vars(Stentor(load()).access).items() if name[0] != "_"}
    assert access == ACCESS


def test_every_operation_is_documented() -> None:
    for part, name in PUBLIC:
        assert getattr(OPERATED[part], name).__doc__, name


def test_the_blocking_twin_does_all_of_it(folder: Path) -> None:
    change(folder, "UPDATE devices SET platform = NULL WHERE id = 1")
    content = Content(message=Message(title="News"), translations={"de": Translation(title="Neues")})
    everybody = Selection(source="users")
    with BlockingStentor(load()) as twin:
        assert "SQLite" in repr(twin)
        preview = twin.campaigns.prepare(Draft(content, everybody))
        assert preview.unroutable == 1
        draft = twin.campaigns.create(Draft(content, everybody), preview=preview)
        with pytest.raises(InvalidState):
            twin.roles.run(draft.id)
        assert twin.campaigns.start(draft.id).state is CampaignState.RUNNING
        assert twin.campaigns.pause(draft.id).state is CampaignState.PAUSED
        assert twin.campaigns.resume(draft.id).state is CampaignState.RUNNING
        seen: list[Progress] = []
        report = twin.roles.run(draft.id, on_progress=seen.append)
        assert (report.total.accepted, report.total.rejected) == (PHONES - 1, 1)
        assert seen[-1].total.accepted == PHONES - 1
        assert len(twin.roles.closings) == 2
        assert [row.installation for row in twin.outcomes.failures(draft.id)] == ["1"]
        assert twin.outcomes.report(draft.id).total == twin.outcomes.progress(draft.id).total == report.total
        assert twin.outcomes.audit(draft.id).exact
        assert twin.outcomes.explain(draft.id, "2").outcome is not None
        assert [each.id for each in twin.campaigns.newest()] == [draft.id]
        change(folder, "UPDATE devices SET platform = 'ios' WHERE id = 1")
        again = twin.campaigns.retry(draft.id)
        assert again.expected == {"apns/ios": 1}
        assert twin.campaigns.cancel(again.id).state is CampaignState.CANCELLED
        with pytest.raises(UnknownCampaign):
            twin.campaigns.get("nope")


async def test_the_twin_refuses_to_hold_up_a_loop(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="use Stentor there"):
        BlockingStentor(load()).__enter__()


def test_the_twin_closes_where_it_cannot_begin(folder: Path) -> None:
    (folder / "stentor.db").mkdir()
    with pytest.raises(StentorError, match="cannot be opened"), BlockingStentor(load()):
        pass


def test_ctrl_c_stops_a_blocking_run_gracefully(folder: Path) -> None:
    """The campaign stays as it is, and goes on."""
    script = """
import sys, time
from stentor import *
with BlockingStentor(load()) as twin:
    content, later = Content(message=Message(title="News")), time.time() + 900
    campaign = twin.campaigns.send(Draft(content, Selection(source="users"), starts_at=later))
    try:
        twin.roles.run(campaign.id, on_progress=lambda progress: print(campaign.id, flush=True))
    except KeyboardInterrupt:
        print(twin.campaigns.get(campaign.id).state, len(twin.roles.closings))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().strip()
        os.kill(process.pid, 2)
        out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1].startswith("scheduled "), err
    assert "Traceback" not in err


def test_a_part_can_be_used_without_all_the_others() -> None:
    script = (
        "import stentor.simulators, sys; print(*sorted(name for name in sys.modules if name.startswith('stentor')))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["stentor", "stentor.simulators", "stentor.version"]
    assert "sqlalchemy" not in run.stdout


def test_the_library_names_are_there_and_no_others() -> None:
    assert set(stentor.__all__) <= set(dir(stentor))
    assert all(getattr(stentor, name) for name in stentor.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = stentor.Nothing


def test_the_twin_makes_keys_and_knows_them(folder: Path) -> None:
    with BlockingStentor(load()) as twin:
        made = twin.access.keys.create(local_caller(), "shop", Scope.SEND)
        for _ in range(2):
            caller = twin.access.keys.authenticate(made.text)
            assert caller is not None
            assert caller.id == made.key.id
        assert [row.action for row in twin.access.log.page(local_caller())] == ["key.create"]
    with BlockingStentor(load()) as twin:
        assert twin.access.keys.find(local_caller(), "shop").last_used_at is not None
