"""What a page says first after something was done. Its address only names it, so nobody can have it say more."""

from __future__ import annotations

SAID = {
    "signed-out": "You are signed out.",
    "password-set": "The password is set. Sign in with it.",
    "installation-added": "The installation is in the registry now.",
    "installation-changed": "The installation is changed.",
    "installation-revived": "The installation is changed, and it is sent to again.",
    "installation-unchanged": "All of this was known already, so nothing is changed.",
    "installation-deleted": "The installation is no longer in the registry.",
}
