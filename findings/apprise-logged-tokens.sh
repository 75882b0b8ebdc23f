#!/usr/bin/env bash
# Apprise: with its secure logging on, as it is by default, a log at the level `debug` has the whole URL of a Discord
# webhook, token and all; so has that of urllib3 below it. And a service that hangs holds up the end of the process for
# as long as it hangs, although `notify` gave it up after its timeout: it waits in a thread that Python joins at its end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    apprise==2.3.0 certifi==2026.10.18 charset_normalizer==3.5.2 click==8.5.1 idna==3.20 markdown==3.11.3 \
    oauthlib==4.0.1 pyyaml==6.0.3 requests==2.34.2 requests-oauthlib==2.0.0 urllib3==2.8.0
HOME="$folder" "$folder/venv/bin/python" -W ignore - <<'EOF'
import http.server
import io
import logging
import platform
import subprocess
import sys
import threading
import time
from importlib.metadata import version

from apprise import Apprise, AppriseAsset
from apprise.plugins.discord import NotifyDiscord

TOKEN = "JHMHI8qBe7bk2ZwO5U711o3dVxjs"
HANGS = 6
"""Seconds for which a service hangs, which is given up after one."""
ENDS_LATE = """
import sys, time
from apprise import Apprise, AppriseAsset
from apprise.plugins.custom_json import NotifyJSON
NotifyJSON.send = lambda *args, **options: time.sleep(float(sys.argv[1])) or True
apprise = Apprise(asset=AppriseAsset(async_mode=False))
apprise.add("json://127.0.0.1:1/")
print(bool(apprise.notify("hello", timeout=1)), flush=True)
"""


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def logged() -> str:
    """What a message to a Discord webhook here leaves in the log."""
    into = io.StringIO()
    logging.basicConfig(level=logging.DEBUG, stream=into)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        NotifyDiscord.notify_url = f"http://127.0.0.1:{server.server_address[1]}/api/webhooks"
        apprise = Apprise(asset=AppriseAsset(secure_logging=True))
        apprise.add(f"discord://4174216298/{TOKEN}")
        sent = bool(apprise.notify("hello"))
        server.shutdown()
    if not sent:
        sys.exit("Could not be tried: the message was not sent.")
    return into.getvalue()


print(f"versions: apprise {version('apprise')}, urllib3 {version('urllib3')}, Python {platform.python_version()}")
print("expected: no token in any line; the process ends when `notify` has given the service up")
lines = [line for line in logged().splitlines() if TOKEN in line]
by = sorted({line.split(":")[1] for line in lines})
print(f"seen: {len(lines)} lines with the token, by {', '.join(by) or 'nobody'}")
began = time.monotonic()
command = [sys.executable, "-W", "ignore", "-c", ENDS_LATE, str(HANGS)]
child = subprocess.run(command, capture_output=True, text=True, timeout=60)
took = time.monotonic() - began
print(f"seen: notify returned {child.stdout.strip()}, and its process ended after {took:.0f} s")
if by != ["apprise", "urllib3.connectionpool"] or child.stdout.strip() != "False" or took < HANGS:
    sys.exit("Changed.")
print("As described: tokens in the log, and a process that waits for what was given up.")
EOF
