"""Seeded chance: the same seed and key give the same draw, in every run and on every machine. Pure."""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

from stentor.simulators.faults import Devices, Latency

_TWO_64 = float(2**64)
_NORMAL = NormalDist()
_Z99 = _NORMAL.inv_cdf(0.99)


class Chance:
    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(16, "big", signed=True)

    def unit(self, purpose: bytes, key: bytes) -> float:
        """A number in [0, 1), evenly spread over keys, unrelated between purposes."""
        digest = blake2b(key, digest_size=8, key=self._key, person=purpose[:16]).digest()
        return int.from_bytes(digest) / _TWO_64

    def counted(self, purpose: bytes, count: int) -> float:
        return self.unit(purpose, count.to_bytes(8))


def latency_of(chance: Chance, latency: Latency, address: bytes) -> float:
    """Seconds until the answer for this address."""
    if latency.tail_share and chance.unit(b"tail", address) < latency.tail_share:
        spread = latency.tail_max_s - latency.tail_min_s
        return latency.tail_min_s + spread * chance.unit(b"tail length", address)
    if latency.median_s <= 0:
        return 0.0
    if latency.p99_s <= latency.median_s:
        return latency.median_s
    sigma = math.log(latency.p99_s / latency.median_s) / _Z99
    draw = min(max(chance.unit(b"latency", address), 1e-12), 1 - 1e-12)
    return latency.median_s * math.exp(sigma * _NORMAL.inv_cdf(draw))


ALIVE, UNREGISTERED, REREGISTERED, MALFORMED, WRONG_APP, THROTTLED, THIRD_PARTY_AUTH = range(7)


def fate_of(chance: Chance, devices: Devices, address: bytes) -> int:
    """What became of the device with this address, for as long as the seed stays."""
    draw = chance.unit(b"fate", address)
    for share, fate in (
        (devices.unregistered, UNREGISTERED),
        (devices.malformed, MALFORMED),
        (devices.wrong_app, WRONG_APP),
        (devices.throttled, THROTTLED),
        (devices.third_party_auth, THIRD_PARTY_AUTH),
    ):
        draw -= share
        if draw < 0:
            return _maybe_reregistered(chance, devices, address) if fate == UNREGISTERED else fate
    return ALIVE


def _maybe_reregistered(chance: Chance, devices: Devices, address: bytes) -> int:
    return REREGISTERED if chance.unit(b"reregistered", address) < devices.reregistered else UNREGISTERED
