"""Randomness as a function: numbers and permutations that depend on a key and on nothing else.

Owns no state and no generator: the same key gives the same answer in any process, on any machine, in any order.
"""

from hashlib import blake2b

_ROUNDS = 6  # four make a Feistel network a good permutation; small grids have halves of a bit or two


def number(*key: int | str) -> int:
    """64 bits (0 ≤ n < 2^64) that are a function of the key."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest())


def permuted(position: int, *, size: int, key: tuple[int | str, ...]) -> int:
    """Where `position` goes in a permutation of range(size) that the key chooses; nothing is held in memory.

    A Feistel network over the next even number of bits, walked until it lands inside: four steps on average at most.
    Black & Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        position = _feistel(position, half=half, key=key)
        if position < size:
            return position


def _feistel(position: int, *, half: int, key: tuple[int | str, ...]) -> int:
    mask = (1 << half) - 1
    left, right = position >> half, position & mask
    for turn in range(_ROUNDS):
        left, right = right, left ^ (_wide(half, *key, turn, right) & mask)
    return left << half | right


def _wide(bits: int, *key: int | str) -> int:
    """At least `bits` bits of the key: halves wider than one digest take several."""
    value = 0
    for part in range(-(-bits // 64)):
        value = value << 64 | number(*key, part)
    return value
