#!/usr/bin/env bash
# htmx 4: a deferred htmx looks at the page in a timer of its own, and not when all deferred scripts have run. If the script
# of an extension comes late, the page is looked at without it: `hx-sse:connect` is overlooked, for good and without a word.
# The same page works with htmx not deferred. Needs a Chromium that is installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund htmx.org@4.0.1 playwright-core@1.57.0
cat >trial.mjs <<'EOF'
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const read = (path) => readFileSync(new URL(`node_modules/htmx.org/dist/${path}`, import.meta.url), "utf-8");
const LATE = 700, PATIENCE = 3000; // milliseconds

/** How often a page asked for its events whose htmx is loaded in this way, and whose extension comes late or not. */
async function trial(how, late) {
  let asked = 0;
  const server = createServer(async (request, response) => {
    if (request.url === "/events") {
      asked += 1;
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      return response.write("data: <b>here</b>\n\n");
    }
    if (request.url.endsWith(".js")) {
      if (late && request.url.includes("sse")) await sleep(LATE);
      response.writeHead(200, { "Content-Type": "text/javascript" });
      return response.end(read(request.url.slice(1)));
    }
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end(`<!doctype html><head><script src="/htmx.js" ${how}></script><script src="/ext/hx-sse.js" defer></script></head>
      <body><div id="live" hx-sse:connect="/events" hx-swap="innerHTML"></div></body>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const page = await browser.newPage();
  await page.goto(url);
  await sleep(PATIENCE);
  await page.close();
  server.closeAllConnections();
  server.close();
  return asked;
}

const version = JSON.parse(read("../package.json")).version;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
console.log(`htmx ${version}, Chromium ${browser.version()}, Node ${process.version}`);
console.log("expected: with both scripts deferred, the extension is there when the page is looked at, however late it comes");
const inTime = await trial("defer", false), late = await trial("defer", true), notDeferred = await trial("", true);
console.log(`seen, both deferred, extension in time: ${inTime} connections`);
console.log(`seen, both deferred, extension late:    ${late} connections`);
console.log(`seen, htmx not deferred, extension late: ${notDeferred} connections`);
await browser.close();
process.exit(late === 0 && notDeferred === 1 ? 0 : 1);
EOF
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) node trial.mjs
