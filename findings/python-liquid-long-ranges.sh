#!/usr/bin/env bash
# python-liquid: `loop_iteration_limit` bounds the rounds of loops within each other. It doesn't bound what a loop skips
# by `offset`, what a filter makes of a range, or loops one after the other: with a limit of 1,000, three short
# templates go through 5,000,000 numbers, make a text of more than 10 MB, and run 50,000 rounds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 python-liquid==2.3.6
"$folder/venv/bin/python" - <<'EOF'
import platform
import sys
from importlib.metadata import version

from liquid import Environment
from liquid.exceptions import LiquidError


class Limited(Environment):
    loop_iteration_limit = 1_000


TEMPLATES = {
    "{% for i in (1..6000000) offset: 5000000 limit: 1 %}{{ i }}{% endfor %}": "5000001",
    "{{ (1..2000000) | join: '' | size }}": "12888896",
    "{% for i in (1..1000) %}x{% endfor %}" * 50: "x" * 50_000,
}
print(f"versions: python-liquid {version('python-liquid')}, Python {platform.python_version()}")
print("expected: an error of each of these, as each goes through more than 1,000 items")
changed = False
for template, wanted in TEMPLATES.items():
    try:
        found = Limited().from_string(template).render()
    except LiquidError as error:
        found = repr(error)
    print(f"seen: {template[:72]} is {found[:40]}, {len(found)} characters")
    changed = changed or found != wanted
if changed:
    print("changed: something is bounded now")
sys.exit(changed)
EOF
