"""Channels that packages add, by the example of `examples/stentor-ntfy`: found by its entry point, then as our own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from docs import render_configuration, render_reasons
from stentor import Content, Message, Selection, Stentor, channels, config
from stentor.cli import init
from stentor.cli.doctor import examine
from stentor.config import dump, load, restore
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.findings import Status
from stentor.outcome import Outcome
from stentor.planning.content import content_from, decode_content, encode_content
from stentor.providers.channels import open_lane
from stentor.recording import meanings
from stentor.recording.meanings import meaning
from stentor.runtime.draft import Draft
from stentor.simulators.tls import make_server_tls

EXAMPLE = Path(__file__).parents[2] / "examples" / "stentor-ntfy"
CACHES = (channels.find, channels._added, config._extended, meanings._meanings)
PEOPLE = 60


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: str, *sources: Path) -> Iterator[None]:
    """A package with these entry points is importable, here and in processes that are started."""
    about = folder / "site" / "stentor_added-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stentor-added\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[{channels.GROUP}]\n{entries}\n")
    paths = [str(path) for path in (about.parent, *sources)]
    with monkeypatch.context() as patch:
        for path in paths:
            patch.syspath_prepend(path)
        patch.setenv("PYTHONPATH", os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]))
        forget()
        try:
            yield
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] in ("stentor_ntfy", "broken_channel")]:
                del sys.modules[name]
    forget()


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def ntfy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example is installed, with the entry point that its own project names."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    entries = "\n".join(f"{name} = {where}" for name, where in project["entry-points"][channels.GROUP].items())
    with installed(tmp_path, monkeypatch, entries, EXAMPLE / "src"):
        yield


@asynccontextmanager
async def server(folder: Path, seen: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Its settings. The topic `p7` is somebody else's."""

    async def handle(request: web.BaseRequest) -> web.Response:
        message = await request.json()
        if message["topic"] == "p7":
            return web.json_response({"code": 40301, "error": "forbidden"}, status=403)
        seen.append(message)
        return web.json_response({"id": f"m{len(seen)}"})

    tls = make_server_tls(folder, provider="ntfy", alpn=("http/1.1",))
    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        yield f'[apps.alerts]\nchannel = "ntfy"\nurl = "{url}"\nca_file = "{tls.ca_file}"\nmax_connections = 4\n'
    finally:
        await runner.cleanup()


def write(folder: Path, app: str) -> Path:
    database = sqlite3.connect(folder / "app.db")
    database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, topic TEXT)")
    database.executemany(
        "INSERT INTO people VALUES (?, ?)", [(n, f"p{n}" if n != 9 else "no topic") for n in range(PEOPLE)]
    )
    database.commit()
    database.close()
    file = folder / "stentor.toml"
    file.write_text(
        f"""{app}
[audiences.people]
url = "sqlite:///app.db"
table = "people"
channel = "ntfy"

[audiences.people.columns]
address = "topic"

[sending]
senders = 1
"""
    )
    return file


# -- what works -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ntfy")
async def test_a_campaign_over_it(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    async with server(tmp_path, seen) as app:
        settings = load(write(tmp_path, app), {})
        async with Stentor(settings) as stentor:
            options = {"ntfy": {"tags": ["person-{{ id }}"]}}
            content = Content(message=Message(title="Hello", options=options))
            everybody = Selection(source="people")
            preview = await stentor.campaigns.prepare(Draft(content, everybody))
            assert (preview.recipients, list(preview.lanes)) == (PEOPLE, ["ntfy/alerts"])
            assert b'"tags":["person-0"]' in preview.sample["ntfy/alerts"]
            assert seen == [], "a dry run"
            campaign = await stentor.campaigns.send(Draft(content, everybody), preview=preview)
            report = await stentor.roles.run(campaign.id)
            assert (report.total.accepted, report.total.rejected) == (PEOPLE - 2, 2)
            assert (await stentor.outcomes.audit(campaign.id)).exact
            failures = {failure.reason async for failure in stentor.outcomes.failures(campaign.id)}
            assert failures == {"Forbidden", "MalformedAddress"}
    topics = [message["topic"] for message in seen]
    assert sorted(topics) == sorted(f"p{number}" for number in range(PEOPLE) if number not in (7, 9))
    assert all(message["tags"] == [f"person-{message['topic'][1:]}"] for message in seen)
    assert "reserved" in meaning("ntfy/alerts", "Forbidden", Outcome.REJECTED)


@pytest.mark.usefixtures("ntfy")
async def test_its_settings_are_read_checked_and_passed_on(tmp_path: Path) -> None:
    file = write(tmp_path, '[apps.alerts]\nchannel = "ntfy"\ntoken_file = "token.txt"\n')
    settings = load(file, {"STENTOR_APPS__ALERTS__RATE": "5"})
    app = settings.apps["alerts"]
    assert (app.channel, app.rate) == ("ntfy", 5.0)
    assert restore(dump(settings)) == settings
    assert channels.names()[-1] == "ntfy"
    lane = open_lane("alerts", app, lambda: 0.0)
    assert lane.name == "ntfy/alerts"
    found = {finding.check: finding for finding in await examine(settings, app="alerts", offline=True)}
    assert found["apps.alerts: credentials"].status is Status.PROBLEM
    assert "token.txt cannot be read" in found["apps.alerts: credentials"].detail
    (tmp_path / "token.txt").touch(mode=0o600)
    (tmp_path / "token.txt").write_text("tk_1")
    assert [each.status for each in await examine(settings, app="alerts", offline=True)] == [Status.OK]
    with pytest.raises(InvalidConfiguration, match=r"apps\.alerts\.tokenfile: .*did you mean `token_file`\?"):
        load(write_again(file, 'channel = "ntfy"\ntokenfile = "x"'), {})


def write_again(file: Path, app: str) -> Path:
    file.write_text(f"[apps.alerts]\n{app}\n")
    return file


@pytest.mark.usefixtures("ntfy")
def test_its_options_in_message_files(tmp_path: Path) -> None:
    file = tmp_path / "message.toml"
    file.write_text(
        """
title = "Backup of {{ id }}"

[options.ntfy]
tags = ["warning"]
click = "https://example.com/{{ id }}"

[translations.de.options.ntfy]
click = "https://example.com/de/{{ id }}"
"""
    )
    content = content_from(file)
    assert content.languages == ("", "de")
    english, german = (content.render(language, {"id": 7}).options["ntfy"] for language in (0, 1))
    assert english == {"tags": ["warning"], "click": "https://example.com/7"}
    assert german == {"tags": ["warning"], "click": "https://example.com/de/7"}
    assert decode_content(encode_content(content)) == content
    file.write_text('title = "T"\n[translations.de.options.ntfy]\nclick = "{{"\n')
    with pytest.raises(InvalidMessage, match=r"^translations\.de\.options\.ntfy\.click: broken template"):
        content_from(file)
    file.write_text('title = "T"\n[translations.de.options.ntfy]\ntags = ["a", "{{"]\n')
    with pytest.raises(InvalidMessage, match=r"^translations\.de\.options\.ntfy\.tags\.1: broken template"):
        content_from(file)
    file.write_text('title = "T"\n[options.ntfy]\nclick = "{{"\n[translations.de.options.ntfy]\nicon = "x"\n')
    with pytest.raises(InvalidMessage, match=r"^options\.ntfy\.click: broken template"):
        content_from(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("[options.ntfi]\na = 1", "options.ntfi: is not a channel that is installed here; did you mean `ntfy`?"),
        ("[options.sms]\na = 1", "options.sms: .*install the package that adds it, or remove this"),
        ("[options.apns]\nbadge = 1", "options.apns: is not read there; the field `apns` has the options"),
        ("[translations.de.options.ntfi]\na = 1", "options.ntfi: is not a channel"),
        ("[options]\nntfy = 1", r"options\.|\[\.\.\.\]|object"),
    ],
)
@pytest.mark.usefixtures("ntfy")
def test_options_of_no_channel(tmp_path: Path, options: str, said: str) -> None:
    file = tmp_path / "message.toml"
    file.write_text(f'title = "T"\n{options}\n')
    with pytest.raises(InvalidMessage, match=said):
        content_from(file)


@pytest.mark.usefixtures("ntfy")
def test_what_is_drawn_from_our_own_channels_stays_as_it_is() -> None:
    for text in (init.render(), render_configuration.page(), render_reasons.page()):
        assert "ntfy" not in text


def test_the_tests_of_the_example_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    paths = os.pathsep.join([str(EXAMPLE / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment, root = {**os.environ, "PYTHONPATH": paths}, EXAMPLE.parents[1]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# -- what doesn't -----------------------------------------------------------------------------------------------------


def test_a_channel_whose_package_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r'apps\.alerts\.channel: is \'ntfy\'; it must be "apns", "fcm"'):
        load(write(tmp_path, '[apps.alerts]\nchannel = "ntfy"\n'), {})
    with pytest.raises(InvalidConfiguration, match="there is no channel 'ntfy'; there are apns, fcm"):
        channels.find("ntfy")
    assert meaning("ntfy/alerts", "Forbidden", Outcome.REJECTED) == ""


BROKEN = {
    "no module": ("no_such_module:CHANNEL", "", "cannot be loaded from no_such_module:CHANNEL: No module named"),
    "no such name": ("broken_channel:CHANEL", "CHANNEL = 1", "cannot be loaded from broken_channel:CHANEL: .*CHANEL"),
    "a library it lacks": ("broken_channel:CHANNEL", "import no_such_library", "No module named 'no_such_library'"),
    "no channel": ("broken_channel:CHANNEL", "CHANNEL = 1", "broken_channel:CHANNEL is not the channel 'ntfy'"),
    "another channel": (
        "broken_channel:CHANNEL",
        "from stentor.providers.fcm.channel import CHANNEL",
        "broken_channel:CHANNEL is not the channel 'ntfy' that its package says it is",
    ),
}


@pytest.mark.parametrize(("where", "code", "said"), BROKEN.values(), ids=BROKEN)
def test_a_package_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, code: str, said: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "broken_channel.py").write_text(code)
    file = write(tmp_path, '[apps.alerts]\nchannel = "ntfy"\n')
    with installed(tmp_path, monkeypatch, f"ntfy = {where}", tmp_path / "code"):
        with pytest.raises(InvalidConfiguration, match=said):
            load(file, {})
        assert load(write_again(file, 'channel = "fcm"'), {}).apps["alerts"].channel == "fcm", "who has no app of it"


def test_no_package_takes_the_place_of_a_channel_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(tmp_path, monkeypatch, "fcm = no_such_module:CHANNEL"):
        assert channels.find("fcm").title == "FCM"
        assert channels.names().count("fcm") == 1
