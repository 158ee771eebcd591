"""Open connections, counted for each client's network across all worker processes."""

from __future__ import annotations

import mmap
import os
from functools import lru_cache
from hashlib import blake2b

from vmaild.auth.throttle import Memory, network_of

_CELLS = 1 << 16
_HALF = _CELLS // 2


class Connections:
    """How many connections each network has open, over all workers.

    A row of counters for each worker, which only that worker writes: so nothing is ever counted wrongly, and of a
    worker that was killed the row is cleared. A network has two cells, and is believed to have as many connections
    as the lesser of them says: it shares both with another one only once in a thousand million pairs, and which
    those are nobody can foresee.
    """

    __slots__ = ("_cells", "_counts", "_hash")

    def __init__(self, memory: Memory, secret: bytes) -> None:
        self._counts = memoryview(memory).cast("B").cast("I")
        self._hash = blake2b(key=secret, digest_size=8)
        self._cells = lru_cache(4096)(self._find_cells)

    @classmethod
    def create(cls, rows: int) -> Connections:
        """For as many workers at the same time, forked from this process: a quarter of a megabyte for each."""
        return cls(mmap.mmap(-1, (1 + rows * _CELLS) * 4), os.urandom(32))

    def clear(self, row: int) -> None:
        """Count nothing in a row: before a worker gets it, and after one has died."""
        if row < self._counts[0]:  # else nobody has had it yet, and to write there would take memory for nothing
            start = 1 + row * _CELLS
            self._counts[start : start + _CELLS] = memoryview(bytes(_CELLS * 4)).cast("I")
        self._counts[0] = max(self._counts[0], row + 1)

    def opened(self, row: int, address: str) -> int:
        """Count a connection that a worker has accepted; how many the network has now."""
        self._add(row, address, 1)
        return self.count(address)

    def closed(self, row: int, address: str) -> None:
        """Count it no more; once for each that was opened."""
        self._add(row, address, -1)

    def count(self, address: str) -> int:
        """How many connections the network of an address has open."""
        counts, end = self._counts, 1 + self._counts[0] * _CELLS
        one, other = self._cells(address)
        return min(sum(counts[1 + one : end : _CELLS]), sum(counts[1 + other : end : _CELLS]))

    def _add(self, row: int, address: str, number: int) -> None:
        for cell in self._cells(address):
            self._counts[1 + row * _CELLS + cell] += number

    def _find_cells(self, address: str) -> tuple[int, int]:
        """A cell in either half of a row."""
        keyed = self._hash.copy()
        keyed.update(network_of(address))
        number = int.from_bytes(keyed.digest(), "little")
        return number % _HALF, _HALF + (number >> 32) % _HALF
