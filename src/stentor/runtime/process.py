"""A role as a process: `python -m stentor.runtime.process ROLE < settings`; see `child.py` for how it lives.

With `--listen HOST:PORT` it answers probes there. The role `api` also takes `--socket=N`, a socket that it inherits and
that listens already.
"""

from __future__ import annotations

import sys

from stentor.loading import load

API, ENGINE = "stentor.service.process:main", "stentor.runtime.worker:main"
"""What runs as the role `api`, and as any other."""


def main() -> None:
    load(API if sys.argv[1:2] == ["api"] else ENGINE)()


if __name__ == "__main__":
    main()
