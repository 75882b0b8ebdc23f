"""Stentor sends one message to millions of installations, with none dropped and every one accounted for.

A campaign (one message, one audience) goes over APNs, FCM and other channels as fast as the wire allows, straight
from the app's own database. `docs/README.md` shows the way around; the layout follows the flow, a folder a stage.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("stentor")
__all__ = ["__version__"]
