#!/usr/bin/env bash
# Babel: in the locales of Switzerland, where numbers are grouped by an apostrophe, it takes pairs of these for the
# quotes of a pattern and leaves them out: 1'234'567 becomes 1234567, and 1'234 stays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 babel==2.19.0
"$folder/venv/bin/python" - <<'EOF'
import platform
import sys
from importlib.metadata import version

from babel.numbers import format_decimal

SEEN = {1234: "1'234", 12345.5: "12'345.5", 1234567: "1234567", 1234567890: "1234567'890"}
"""What Babel writes in `de_CH`."""
print(f"versions: Babel {version('babel')}, Python {platform.python_version()}")
print("expected: an apostrophe, or CLDR's ’, after each third digit")
changed = []
for number, written in SEEN.items():
    found = format_decimal(number, locale="de_CH")
    print(f"seen: {number} is {found}")
    if found != written:
        changed.append(number)
if changed:
    print("changed: numbers are written otherwise")
sys.exit(bool(changed))
EOF
