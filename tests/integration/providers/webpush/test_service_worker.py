"""The service worker of docs/webpush.md does with our payloads what the page says, in Node with a browser's doubles."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stentor.model import Message, WebPushAction, WebPushOptions
from stentor.planning.content import Content
from stentor.planning.retraction import retraction
from stentor.providers.webpush.wire import render

NODE = shutil.which("node")
PAGE = Path(__file__).parents[4] / "docs" / "webpush.md"
DOUBLES = """
const handlers = {}, shown = [], opened = [];
globalThis.self = {
  addEventListener: (name, handler) => (handlers[name] = handler),
  navigator: {},
  location: { origin: "https://shop.example" },
  clients: { openWindow: async (url) => opened.push(String(url)) },
  registration: {
    showNotification: async (title, options) => {
      const same = shown.findIndex((each) => options.tag && each.tag === options.tag);
      if (same >= 0) shown.splice(same, 1);
      const one = { title, ...options, close: () => shown.splice(shown.indexOf(one), 1) };
      shown.push(one);
    },
    getNotifications: async ({ tag }) => shown.filter((each) => each.tag === tag),
  },
};
async function dispatch(name, event) {
  const waits = [];
  handlers[name]({ ...event, waitUntil: (promise) => waits.push(promise) });
  await Promise.all(waits);
}
"""
DRIVER = """
(async () => {
  for (const payload of %s) await dispatch("push", { data: { json: () => payload } });
  const left = JSON.parse(JSON.stringify(shown));
  if (shown.length) await dispatch("notificationclick", { notification: shown[0] });
  console.log(JSON.stringify({ shown: left, opened, afterClick: shown.length }));
})();
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="Node isn't installed")


async def worker(*messages: Message) -> Any:
    """What the worker shows after these pushes, and what a click on the first of it opens."""
    assert NODE is not None
    blocks = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = [block for block in blocks if 'addEventListener("push"' in block]
    payloads = [json.loads(render(message, collapse_id="c1").payload) for message in messages]
    process = await asyncio.create_subprocess_exec(
        NODE,
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate((DOUBLES + code + DRIVER % json.dumps(payloads)).encode())
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


SALE = Message(
    title="Sale",
    body="Tonight",
    data={"id": "7"},
    webpush=WebPushOptions(url="/sale", actions=(WebPushAction(action="buy", title="Buy"),)),
)


async def test_a_message_is_shown_and_a_click_opens_its_page() -> None:
    found = await worker(SALE)
    (shown,) = found["shown"]
    assert (shown["title"], shown["body"], shown["tag"]) == ("Sale", "Tonight", "c1")
    assert shown["actions"] == [{"action": "buy", "title": "Buy"}]
    assert shown["data"] == {"id": "7", "url": "/sale"}
    assert (found["opened"], found["afterClick"]) == (["https://shop.example/sale"], 0)


async def test_the_same_tag_replaces() -> None:
    found = await worker(SALE, Message(title="Better", webpush=WebPushOptions(tag="other")), Message(title="Corrected"))
    assert [each["title"] for each in found["shown"]] == ["Better", "Corrected"]


async def test_what_is_taken_back_is_closed() -> None:
    other = Message(title="Stays", collapse_key="other")
    found = await worker(SALE, other, retraction(Content(message=SALE), "c1").message)
    assert [each["title"] for each in found["shown"]] == ["Stays"]


async def test_a_silent_message_shows_nothing() -> None:
    assert (await worker(Message(silent=True, data={"a": "b"})))["shown"] == []
