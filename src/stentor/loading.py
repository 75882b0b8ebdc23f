"""What is loaded only when it is asked for: to load all of Stentor takes seconds, and most processes need a part."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any


def load(home: str) -> Any:
    """What `module:name` names.

    Python doesn't look for cycles meanwhile, nor among what is loaded later: there are none to free, and the looking
    took a sixth of the time.
    """
    module, _, name = home.partition(":")
    looking = gc.isenabled()
    gc.disable()
    try:
        found = getattr(import_module(module), name)
    finally:
        if looking:
            gc.enable()
    gc.freeze()
    return found
