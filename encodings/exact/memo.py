"""What is known about states at rest: a hash table from state to bounds on its cost-to-go.

The key of a state holds its waiting requests, the classes of its requests in the pools in sorted order (so that
interchangeable requests share an entry) and, while requests are still to arrive, the clock. Once all have arrived
the cost-to-go does not depend on the clock and the key has none. Keys are compared in full: no false matches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, kernel

Words = NDArray[np.uint64]
UNKNOWN = np.int64(2**62)


class Memo(NamedTuple):
    """Open addressing. keys[slot], lower[slot] <= cost-to-go <= upper[slot]; lower < 0: free. size[0]: entries."""

    keys: Words
    lower: Int
    upper: Int
    size: Int


def key_words(instance: Instance) -> int:
    """Words of a key."""
    width = max(1, (instance.kinds - 1).bit_length())
    return 2 + -(-instance.n // (64 // width))


def new_memo(instance: Instance, slots: int) -> Memo:
    """An empty table; `slots` is a power of two."""
    return Memo(np.empty((slots, key_words(instance)), np.uint64), np.full(slots, -1, np.int64),
                np.empty(slots, np.int64), np.zeros(1, np.int64))


@kernel
def write_key(instance: Instance, codes: Codes, now: Scalar, kinds: Int, key: Words) -> None:
    """The key of a state at rest; `kinds`: scratch of n."""
    n, count = instance.n, 0
    waiting = np.uint64(0)
    for row in range(n):
        code = codes[row]
        if code == 0:
            waiting |= np.uint64(1) << np.uint64(row)
            continue
        kind = instance.kind[row, code]
        if kind == 0:
            continue
        j = count
        while j > 0 and kinds[j - 1] > kind:
            kinds[j] = kinds[j - 1]
            j -= 1
        kinds[j] = kind
        count += 1
    key[0] = waiting
    key[1] = np.uint64(now) if instance.arrival[n - 1] > now else np.uint64(2**63)
    width, largest = 0, instance.kinds - 1
    while largest:
        largest >>= 1
        width += 1
    per_word = 64 // max(1, width)
    for w in range(2, len(key)):
        word = np.uint64(0)
        for i in range((w - 2) * per_word, min(count, (w - 1) * per_word)):
            word = (word << np.uint64(width)) | np.uint64(kinds[i])
        key[w] = word


@kernel
def find(memo: Memo, key: Words) -> Scalar:
    """The slot of the key, or of the free slot where it belongs."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(len(key)):
        h = (h ^ key[w]) * np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(29)
    mask = np.uint64(len(memo.lower) - 1)
    slot = h & mask
    while True:
        at = np.int64(slot)
        if memo.lower[at] < 0:
            return at
        same = True
        for w in range(len(key)):
            if memo.keys[at, w] != key[w]:
                same = False
                break
        if same:
            return at
        slot = (slot + np.uint64(1)) & mask


@kernel
def learn(memo: Memo, key: Words, lower: Scalar, upper: Scalar) -> None:
    """Tighten what is known about the key's state."""
    slot = find(memo, key)
    if memo.lower[slot] < 0:
        memo.keys[slot] = key
        memo.lower[slot], memo.upper[slot] = lower, upper
        memo.size[0] += 1
    else:
        memo.lower[slot], memo.upper[slot] = max(memo.lower[slot], lower), min(memo.upper[slot], upper)


@kernel
def copy_memo(old: Memo, new: Memo) -> None:
    """Put every entry of `old` into the larger, empty `new`."""
    for slot in range(len(old.lower)):
        if old.lower[slot] >= 0:
            learn(new, old.keys[slot], old.lower[slot], old.upper[slot])


def grown(instance: Instance, memo: Memo) -> Memo:
    """The same knowledge in four times the slots."""
    larger = new_memo(instance, 4 * len(memo.lower))
    copy_memo(memo, larger)
    return larger
