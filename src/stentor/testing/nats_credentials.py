"""Credentials files for a NATS in tests: an operator, an account and a user, each vouched for by the one before.

The server knows the first two by its configuration, and asks nobody. Sources: the JWT guide in NATS' documentation.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]  # has no annotations

from stentor.simulators.tls import write_private

_UNLIMITED = -1
_LIMITS = ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage")


class _Identity:
    """A key pair that signs for others and is signed for."""

    def __init__(self, prefix: int) -> None:
        self.seed: bytes = nkeys.encode_seed(os.urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public: str = self._pair.public_key.decode()

    def sign(self, subject: _Identity, kind: str, claims: Mapping[str, Any]) -> str:
        """A JWT that says who `subject` is."""
        content = {
            "iat": int(time.time()),
            "iss": self.public,
            "jti": subject.public,
            "name": f"stentor-{kind}",
            "nats": {"type": kind, "version": 2, **claims},
            "sub": subject.public,
        }
        signed = f"{_encode_json({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encode_json(content)}"
        return f"{signed}.{_encode(self._pair.sign(signed.encode()))}"


def make_credentials(file: Path, *, deny_publish: Sequence[str] = ()) -> str:
    """Write a new user's credentials file; returns the configuration of a server that lets in this user alone.

    The user may use all of JetStream, and publish everywhere but to the subjects denied.
    """
    operator = _Identity(nkeys.PREFIX_BYTE_OPERATOR)
    system, account = _Identity(nkeys.PREFIX_BYTE_ACCOUNT), _Identity(nkeys.PREFIX_BYTE_ACCOUNT)
    user = _Identity(nkeys.PREFIX_BYTE_USER)
    limits = {"limits": {"wildcards": True, **dict.fromkeys(_LIMITS, _UNLIMITED)}}
    rights = {"pub": {"deny": list(deny_publish)}, "sub": {}, **dict.fromkeys(_LIMITS[:3], _UNLIMITED)}
    user_jwt = account.sign(user, "user", rights)
    parts = {"NATS USER JWT": user_jwt, "USER NKEY SEED": user.seed.decode()}
    content = "".join(f"-----BEGIN {name}-----\n{part}\n------END {name}------\n\n" for name, part in parts.items())
    write_private(file, content.encode())
    accounts = {
        system.public: operator.sign(system, "account", {}),
        account.public: operator.sign(account, "account", limits),
    }
    lines = [
        f"operator: {operator.sign(operator, 'operator', {'system_account': system.public})}",
        f"system_account: {system.public}",
        "resolver: MEMORY",
        f"resolver_preload: {{ {', '.join(f'{public}: {jwt}' for public, jwt in accounts.items())} }}",
    ]
    return "\n".join(lines)


def _encode_json(content: Mapping[str, Any]) -> str:
    return _encode(json.dumps(content, separators=(",", ":")).encode())


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
