#!/usr/bin/env bash
# cronsim: when the clocks go back, an hour comes twice. Whoever asks in the second one for the next instant of a daily
# line gets the one in the first hour, which has passed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 cronsim==2.8 tzdata==2026.6
"$folder/venv/bin/python" - <<'EOF'
import platform
import sys
from datetime import datetime
from importlib.metadata import version
from zoneinfo import ZoneInfo

from cronsim import CronSim

asked = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
print(f"versions: cronsim {version('cronsim')}, Python {platform.python_version()}")
print(f"expected: after {asked}, a daily 02:30 is due on 2026-10-26")
found = next(CronSim("30 2 * * *", asked))
print(f"seen: {found}, {asked.timestamp() - found.timestamp():.0f} s before")
if found.timestamp() > asked.timestamp():
    print("changed: the next instant is later")
    sys.exit(1)
EOF
