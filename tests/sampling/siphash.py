"""How an auditor draws again, without our code: SipHash in plain Python, and numbers made of it."""

from __future__ import annotations

import hmac
from fractions import Fraction


def siphash(key: bytes, message: bytes, *, each: int = 1, last: int = 3) -> int:
    """SipHash as its authors wrote it down, with so many rounds a word and at the end."""
    mask = 2**64 - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261]
    v.append(k1 ^ 0x7465646279746573)

    def turned(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & mask

    def rounds(times: int) -> None:
        for _ in range(times):
            v[0], v[2] = (v[0] + v[1]) & mask, (v[2] + v[3]) & mask
            v[1], v[3] = turned(v[1], 13) ^ v[0], turned(v[3], 16) ^ v[2]
            v[0] = turned(v[0], 32)
            v[2], v[0] = (v[2] + v[1]) & mask, (v[0] + v[3]) & mask
            v[1], v[3] = turned(v[1], 17) ^ v[2], turned(v[3], 21) ^ v[0]
            v[2] = turned(v[2], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        rounds(each)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(last)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def number_of(item_id: str, key: bytes) -> Fraction:
    """The number of an item under a key of sixteen bytes, exactly."""
    digest = siphash(bytes(16), item_id.encode())
    drawn = siphash(key, digest.to_bytes(8, "little"))
    return Fraction(2 * (drawn >> 12) + 1, 2**53)


def drawn_by_hand(item_id: str, key: bytes, round_id: str) -> Fraction:
    """What `keyed_uniforms` gives."""
    return number_of(item_id, hmac.digest(key, round_id.encode(), "sha256")[:16])
