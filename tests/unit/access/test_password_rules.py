"""Which passwords are refused: those of NIST SP 800-63B-4, and no others."""

from __future__ import annotations

import pytest

from stentor.access.password_rules import LONGEST, SHORTEST, check_password
from stentor.errors import InvalidInput


@pytest.mark.parametrize(
    "password",
    [
        "orbit walnut ceramic fjord",
        "all lower case without anything",
        "836194027561938",
        "ÅngströmsÄpfelÖl",
        "пять случайных слов подряд",
        "five random words: 日本語の単語四つ",
        "x9" * 3 + "kQm2vT7wLp",
        "x" * 7 + "quite a long phrase" + "y" * (LONGEST - 26),
    ],
)
def test_a_long_password_of_whatever_kind_is_good(password: str) -> None:
    assert check_password(password, "ada")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short of fiftee", ""),
        ("short of fifte", "is shorter than 15 characters"),
        ("a" * (LONGEST + 1), "is longer than 256 characters"),
        ("aaaaaaaaaaaaaaaaaa", "repeats itself"),
        ("abcabcabcabcabcabc", "repeats itself"),
        ("1234567812345678", "repeats itself"),
        ("abcdefghijklmnopqrstuvwxyz", "counts up"),
        ("98765432109876543", "counts up"),
        ("qwertyuiopasdfgh", "follows the keyboard"),
        ("1qaz2wsx3edc4rfv", "follows the keyboard"),
        ("PasswordPassword1", "most common"),
        ("password123456789", "most common"),
        ("P@ssw0rd P@ssw0rd 99", "most common"),
        ("correcthorsebatterystaple", "most common"),
        ("Welcome2026!!!!!", "most common"),
        ("letmein-letmein-2", "most common"),
        ("ada.lovelace-2026", "the user's name"),
        ("Lovelace Lovelace Ada", "the user's name"),
        ("stentor-stentor-1", "'stentor'"),
        ("fifteen characters\0", "can't be stored"),
        ("fifteen characters\ud800", "can't be stored"),
    ],
)
def test_what_is_tried_first_is_refused(password: str, said: str) -> None:
    if not said:
        assert len(password) == SHORTEST
        check_password(password, "ada.lovelace")
        return
    with pytest.raises(InvalidInput, match=said) as refused:
        check_password(password, "ada.lovelace")
    assert refused.value.field == "password"
    assert password not in str(refused.value)


def test_the_same_password_from_another_keyboard_is_the_same() -> None:
    composed, decomposed = "Ångström im Café", "A\u030angstro\u0308m im Cafe\u0301"
    assert composed != decomposed
    assert check_password(composed, "ada") == check_password(decomposed, "ada")


def test_characters_are_counted_after_they_are_normalized() -> None:
    with pytest.raises(InvalidInput, match="shorter"):
        check_password("e\u0301" * 7 + "x", "ada")
