"""Content: what is sent back is what came, however the network cut it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from vmaild.store.content import Content

# Small alphabets find the interesting neighbours; whole bytes show that no value is special.
pieces = st.lists(st.one_of(st.text("\r\na.", max_size=8).map(str.encode), st.binary(max_size=8)), max_size=12)


def disk(parts: list[bytes], spill_at: int = 262144) -> tuple[bytes, int, int]:
    with Content("/tmp", spill_at) as content:
        for part in parts:
            content.append(part)
        content.finish()
        return b"".join(content.chunks()), content.size, content.virtual_size


def wire(stored: bytes) -> bytes:
    """How POP3 transmits what is stored, without dot-stuffing."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", stored)


@given(pieces)
def test_content_with_crlf_ends_comes_back_byte_for_byte(parts: list[bytes]) -> None:
    sent = re.sub(rb"(?<!\r)\n", b"\r\n", b"".join(parts) + b"\r\n")
    stored, _, virtual_size = disk([sent])
    assert wire(stored) == sent
    assert virtual_size == len(sent)


@given(pieces, st.sampled_from([0, 3, 262144]))
def test_any_cut_gives_the_same(parts: list[bytes], spill_at: int) -> None:
    assert disk(parts, spill_at) == disk([b"".join(parts)])


@given(pieces)
def test_sizes_are_those_of_what_is_stored_and_sent(parts: list[bytes]) -> None:
    stored, size, virtual_size = disk(parts)
    assert size == len(stored)
    assert virtual_size == len(wire(stored))
    assert stored == b"" or stored.endswith(b"\n")


@given(pieces)
def test_what_is_stored_is_stable(parts: list[bytes]) -> None:
    stored = disk(parts)[0]
    assert wire(disk([wire(stored)])[0]) == wire(stored)
