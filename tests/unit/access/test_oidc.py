"""Which role a claim gives, and where a sign-in may lead back to."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.access.oidc import is_local, role_of
from stentor.access.scopes import Scope

ROLES = {"editors": "send", "admins": "admin", "readers": "view"}


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"groups": ["editors", "other"]}, "groups", Scope.SEND),
        ({"groups": ["readers", "admins", "editors"]}, "groups", Scope.ADMIN),
        ({"groups": "readers"}, "groups", Scope.VIEW),
        ({"realm_access": {"roles": ["admins"]}}, "realm_access.roles", Scope.ADMIN),
        ({"https://example.com/roles": ["readers"]}, "https://example.com/roles", Scope.VIEW),
        ({"groups": []}, "groups", None),
        ({"groups": ["Admins", " admins"]}, "groups", None),
        ({"groups": {"admins": True}}, "groups", None),
        ({"groups": [["admins"], 7, None]}, "groups", None),
        ({"groups": ["x"] * 5000 + ["admins"]}, "groups", None),
        ({}, "groups", None),
        ({"realm_access": "roles"}, "realm_access.roles", None),
    ],
)
def test_the_highest_role_of_a_claim_counts(claims: dict[str, Any], claim: str, role: Scope | None) -> None:
    assert role_of(claims, claim, ROLES) is role


@pytest.mark.parametrize("back", ["/", "/campaigns/7?tab=failures#top"])
def test_a_page_of_this_site_is_gone_back_to(back: str) -> None:
    assert is_local(back)


@pytest.mark.parametrize(
    "back",
    ["", "//evil.example", "/\\evil.example", "\\\\evil", "https://evil.example", "javascript:x", "/a\nb", "/" * 2],
)
def test_another_site_is_not(back: str) -> None:
    assert not is_local(back)
