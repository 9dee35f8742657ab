"""Counter-based random numbers: a draw is a pure function of the seed and of what it is about.

Belongs here: hashing keys to numbers. Does not belong here: any state, any distribution that
only one caller needs.

A sequential generator would make the result depend on the order of calls, hence on how an
advance was cut into strides; here ``advance(A→C)`` equals ``advance(A→B→C)`` by construction.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
_TO_UNIT = 1.0 / (1 << 53)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


@lru_cache(maxsize=1024)
def _salt(seed: int, stream: str) -> int:
    digest = blake2b(f"{seed}|{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _mix(words: Words) -> Words:
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014), in place."""
    words ^= words >> _S30
    words *= _MIX_1
    words ^= words >> _S27
    words *= _MIX_2
    words ^= words >> _S31
    return words


def text_key(text: str) -> int:
    """Stable non-negative 63-bit key of a text, to feed to the draws."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Draws:
    """All the randomness of one world.

    Every method takes the name of a stream and one or more integer keys (arrays of one length,
    or scalars, which are broadcast) and returns an array: same arguments, same numbers.
    """

    __slots__ = ("seed",)

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def bits(self, stream: str, *keys: ArrayLike) -> Words:
        """64 random bits a key."""
        arrays = [np.atleast_1d(np.asarray(key)).astype(np.int64, copy=False) for key in keys]
        size = np.broadcast_shapes(*(array.shape for array in arrays))
        words = np.full(size, _salt(self.seed, stream), dtype=np.uint64)
        for array in arrays:
            words += array.view(np.uint64) * _GOLDEN + _MIX_2
            _mix(words)
        return words

    def unit(self, stream: str, *keys: ArrayLike) -> Floats:
        """Uniform in [0, 1)."""
        return (self.bits(stream, *keys) >> _S11).astype(np.float64) * _TO_UNIT

    def between(self, low: float, high: float, stream: str, *keys: ArrayLike) -> Floats:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit(stream, *keys)

    def below(self, bound: int, stream: str, *keys: ArrayLike) -> Ints:
        """Integer in [0, bound)."""
        return (self.unit(stream, *keys) * bound).astype(np.int64)

    def exponential(self, mean: ArrayLike, stream: str, *keys: ArrayLike) -> Floats:
        """Exponential with the given mean."""
        return -np.log1p(-self.unit(stream, *keys)) * np.asarray(mean)

    def normal(self, stream: str, *keys: ArrayLike) -> Floats:
        """Standard normal (Box–Muller from two draws of the same key)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.unit(stream + "/r", *keys)))
        return radius * np.cos(2.0 * np.pi * self.unit(stream + "/a", *keys))

    def choice(self, weights: ArrayLike, stream: str, *keys: ArrayLike) -> Ints:
        """Index drawn with the given weights."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        return np.searchsorted(edges / edges[-1], self.unit(stream, *keys), side="right").clip(
            max=len(edges) - 1
        )

    def chance(self, probability: ArrayLike, stream: str, *keys: ArrayLike) -> NDArray[np.bool_]:
        """True with the given probability (scalar or one a key)."""
        return self.unit(stream, *keys) < np.asarray(probability)
