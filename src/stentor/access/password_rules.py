"""Which passwords are refused.

By NIST SP 800-63B-4, section 3.1.1.2: a password that is the only proof has at least 15 characters; any character may
stand in it; nobody has to mix kinds of characters or to change it without a reason; what people choose again and again,
what follows from the user's name or from this service, and what repeats or counts up is refused.
"""

from __future__ import annotations

import re
import unicodedata

from stentor.errors import InvalidInput

SHORTEST, LONGEST = 15, 256
OWN = 8
"""Characters that a password must have besides the user's name and what is as easy to guess."""
PRODUCT = "stentor"
LONGEST_UNIT = 8
"""A password that only repeats a unit of at most this many characters is refused."""
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "1234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()",
)
"""What counts up: the alphabet, the digits, keyboards."""
COMMON = frozenset(
    {
        "password",
        "passwort",
        "motdepasse",
        "contraseña",
        "letmein",
        "welcome",
        "changeme",
        "default",
        "secret",
        "admin",
        "administrator",
        "root",
        "superuser",
        "login",
        "iloveyou",
        "monkey",
        "dragon",
        "football",
        "baseball",
        "superman",
        "batman",
        "trustno",
        "sunshine",
        "princess",
        "master",
        "shadow",
        "michael",
        "qwerty",
        "qwertz",
        "azerty",
        "asdfgh",
        "zxcvbn",
        "correcthorsebatterystaple",
        "thisisapassword",
        "thisismypassword",
        "mypassword",
        "nopassword",
        "newpassword",
        "temporary",
        "testtest",
        "whatever",
        "starwars",
        "pokemon",
    }
)
"""What people choose, alone or with something short around it."""
FEW = 4
"""Letters beside a common password that make it no better."""
_LOOKALIKES = str.maketrans("@013$", "aoies")
_TRIMMED = re.compile(r"[\W\d_]+")


def normalized(password: str) -> str:
    """The form in which a password is hashed, so that it is the same from every keyboard."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, user: str) -> str:
    """The password in the form in which it is hashed.

    Args:
        user: the name of the user whose password it becomes.

    Raises:
        InvalidInput: it is refused; the message says why, and never shows it.
    """
    if len(password) > LONGEST:
        raise InvalidInput("password", f"is longer than {LONGEST} characters")
    password = normalized(password)
    if len(password) < SHORTEST:
        raise InvalidInput("password", f"is shorter than {SHORTEST} characters; four or five random words are good")
    if "\0" in password or any(unicodedata.category(each) == "Cs" for each in password):
        raise InvalidInput("password", "has a character that can't be stored")
    if problem := _weakness(password.casefold(), user.casefold()):
        raise InvalidInput("password", f"{problem}; choose one that nobody would try first")
    return password


def _weakness(password: str, user: str) -> str | None:
    rest = password
    for name in sorted({user, *re.split(r"[@._+-]", user), PRODUCT}, key=len, reverse=True):
        if len(name) >= 3:
            rest = rest.replace(name, "")
    if len(rest) < OWN:
        return f"is little more than the user's name or {PRODUCT!r}"
    if _repeats(password):
        return "repeats itself"
    if _counts(password):
        return "only counts up or follows the keyboard"
    if any(_is_common(_TRIMMED.sub("", text)) for text in (rest, rest.translate(_LOOKALIKES))):
        return "is one of the most common passwords, or little more"
    return None


def _is_common(letters: str) -> bool:
    left = letters
    for common in sorted(COMMON, key=len, reverse=True):
        left = left.replace(_TRIMMED.sub("", common), "")
    return len(left) < FEW and left != letters


def _repeats(text: str) -> bool:
    return any(text == (text[:unit] * (len(text) // unit + 1))[: len(text)] for unit in range(1, LONGEST_UNIT + 1))


def _counts(text: str) -> bool:
    """Whether the text goes along a row, forth or back, from its end to its beginning if need be."""
    for row in _ROWS:
        for way in (row, row[::-1]):
            if text in way * (len(text) // len(way) + 2):
                return True
    return False
