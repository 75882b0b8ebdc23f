#!/usr/bin/env bash
# htmx 4: its extension for server-sent events connects again for ever, but only where it was connected once. If the very
# first connection is refused or lost, it never tries again, and none of the extension's own events tells the page.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund htmx.org@4.0.1 jsdom@26.1.0
cat >trial.mjs <<'EOF'
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { JSDOM, VirtualConsole } from "jsdom";

const read = (path) => readFileSync(new URL(`node_modules/htmx.org/dist/${path}`, import.meta.url), "utf-8");
const PATIENCE = 6000; // milliseconds; the extension's first pause is 500

/** How often a page asked for its events, where the connection with this number is lost, and what it heard of it. */
async function trial(lostAt) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    if (asked === lostAt) return request.socket.destroy();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(`id: ${asked}\ndata: <b>${asked}</b>\n\n`);
    if (asked < lostAt) setTimeout(() => response.end(), 200);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const page = `<div id="live" hx-sse:connect="${url}events" hx-swap="innerHTML"></div>`;
  const dom = new JSDOM(page, { url, runScripts: "outside-only", pretendToBeVisual: true, virtualConsole: new VirtualConsole() });
  const { window } = dom;
  window.fetch = (path, options) => fetch(new URL(path, url), { method: options?.method, headers: options?.headers });
  Object.assign(window, { TextDecoder, AbortController, CSS: { escape: (text) => text.replace(/[^\w-]/g, "\\$&") } });
  const { evaluate } = window.XPathExpression.prototype; // jsdom wants the type of the result, which browsers don't
  window.XPathExpression.prototype.evaluate = function (node, type = 0) { return evaluate.call(this, node, type, null); };
  const heard = [];
  for (const name of ["htmx:error", "htmx:sse:error"]) window.document.addEventListener(name, () => heard.push(name));
  window.eval(read("htmx.js"));
  window.eval(read("ext/hx-sse.js"));
  await sleep(PATIENCE);
  const shown = window.document.querySelector("#live").textContent;
  window.close();
  server.closeAllConnections();
  server.close();
  return { asked, shown, heard };
}

const versions = JSON.parse(readFileSync(new URL("node_modules/htmx.org/package.json", import.meta.url), "utf-8")).version;
console.log(`htmx ${versions}, jsdom, Node ${process.version}`);
console.log("expected: a page whose first connection is lost connects again, as one whose second is lost does");
const first = await trial(1);
console.log(`seen, first one lost:  asked ${first.asked} times, shows ${JSON.stringify(first.shown)}, heard ${first.heard}`);
const second = await trial(2);
console.log(`seen, second one lost: asked ${second.asked} times, shows ${JSON.stringify(second.shown)}, heard ${second.heard}`);
const same = first.asked === 1 && first.shown === "" && String(first.heard) === "htmx:error";
process.exit(same && second.asked >= 3 && second.shown === String(second.asked) && second.heard.includes("htmx:sse:error") ? 0 : 1);
EOF
node trial.mjs
