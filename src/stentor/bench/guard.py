"""A folder for servers of one's own, from which they are gone with all they stored at the end, however that comes.

A shell of its own waits for the end of the process that made the folder. SIGKILL leaves nobody else to do it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Waits for a line or for the end of its input; then ends what still runs in the folder $1, and removes it.
# PostgreSQL shuts down fast (INT), or at least at once (QUIT), and takes its file away when it has: had it been killed,
# its own processes would still write for a moment, and its shared memory would stay. Before the number of a process
# that runs alone, as those of initdb do, it writes a minus. What initdb does next fails, and it may write until then.
_GUARD = """
ended_by() {
    kill -"$1" "$pid" && kill -CONT "$pid"
    left=$2
    while [ -e "$file" ] && kill -0 "$pid"; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.05
    done
}
read -r line
for file in "$1"/*/pid; do
    [ -e "$file" ] && kill -9 "$(cat "$file")"
done
for file in "$1"/*/postmaster.pid; do
    pid=$(head -n 1 "$file") || continue
    pid=${pid#-}
    ended_by INT 600 || ended_by QUIT 200
done 2>/dev/null
for pause in 0.2 1 5; do
    rm -rf "$1" 2>/dev/null && break
    sleep "$pause"
done
"""


@contextmanager
def guarded_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder, removed at the end, also if this process is killed.

    What still runs in it then is ended first: the processes whose number is in a file `<folder>/*/pid`, by SIGKILL, and
    each PostgreSQL whose data are in `<folder>/*`, by a fast shutdown. Whoever ends a process removes its `pid`:
    another may get the number.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the process that it watches
    ) as guard:
        try:
            yield folder
        finally:
            guard.communicate(b"\n")
