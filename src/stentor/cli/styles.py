"""The colours of the command line: few, each with one meaning, and readable on dark and on light terminals.

They are of the 256 that have the same value on every terminal; the sixteen named ones don't: yellow on white can't be
read. Red is for what somebody must do something about, and for nothing else.
"""

from __future__ import annotations

GOOD = "color(28)"
CARE = "color(130)"
"""What somebody should know before they go on."""
BAD = "color(160)"
REST = "color(245)"
"""Of a bar, what isn't done yet."""
