"""Content: line ends, sizes, and the way to disk."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from vmaild.store.content import Content, bare_line_feeds
from vmaild.store.messages import StoreFailed


def filled(folder: Path, *pieces: bytes, spill_at: int = 262144) -> Content:
    content = Content(str(folder), spill_at)
    for piece in pieces:
        content.append(piece)
    content.finish()
    return content


def stored(content: Content) -> bytes:
    return b"".join(content.chunks())


@pytest.mark.parametrize(
    ("pieces", "kept", "virtual_size"),
    [
        ([], b"", 0),
        ([b""], b"", 0),
        ([b"a\r\nb\r\n"], b"a\nb\n", 6),
        ([b"a\nb\n"], b"a\nb\n", 6),
        ([b"a\r", b"\nb\r\n"], b"a\nb\n", 6),
        ([b"a\r", b"b\r\n"], b"a\rb\n", 5),
        ([b"a\r\r\n"], b"a\r\r\n", 4),
        ([b"a\r", b"\r\n"], b"a\r\r\n", 4),
        ([b"a\r\r", b"\n"], b"a\r\r\n", 4),
        ([b"a\r", b"\r", b"\r", b"\r", b"\n"], b"a\r\r\r\r\n", 6),
        ([b"\r\n", b"\r\n"], b"\n\n", 4),
        ([b"no line end"], b"no line end\n", 13),
        ([b"a\r"], b"a\r\r\n", 4),
        ([b"a\r\r"], b"a\r\r\r\n", 5),
        ([b"\0\xff\r\n.\r\n"], b"\0\xff\n.\n", 7),
    ],
)
def test_line_ends(tmp_path: Path, pieces: list[bytes], kept: bytes, virtual_size: int) -> None:
    with filled(tmp_path, *pieces) as content:
        assert stored(content) == kept
        assert (content.size, content.virtual_size) == (len(kept), virtual_size)


def test_chunks_can_be_read_again_and_side_by_side(tmp_path: Path) -> None:
    pieces = [b"%d" % number * 40_000 + b"\r\n" for number in range(10)]
    with filled(tmp_path, *pieces, spill_at=1000) as content:
        whole = b"".join(pieces).replace(b"\r\n", b"\n")
        one, other = content.chunks(), content.chunks()
        assert next(one) == next(other)
        assert stored(content) == whole
        assert content.size == len(whole) > 262144


def test_small_content_stays_in_memory(tmp_path: Path) -> None:
    with filled(tmp_path / "missing", b"x" * 999, spill_at=1000) as content:
        assert content.size == 1000


def test_large_content_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    content = filled(tmp_path, b"x" * 500, b"x" * 500, spill_at=1000)
    assert list(tmp_path.iterdir()) == []
    content.close()
    content.close()
    with pytest.raises(ValueError, match="closed"):
        content.chunks()


def test_where_every_file_has_a_name_it_loses_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, refused = os.open, []

    def open_named(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            refused.append(path)
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", open_named)
    with filled(tmp_path, b"x" * 500, b"y" * 500 + b"\n", spill_at=1000) as content:
        assert refused == [str(tmp_path)]
        assert list(tmp_path.iterdir()) == []
        assert stored(content) == b"x" * 500 + b"y" * 500 + b"\n"


def test_a_large_content_needs_nothing_that_is_not_loaded_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", [])  # as where the mail user may not read Python's library
    monkeypatch.delitem(sys.modules, "tempfile", raising=False)
    with filled(tmp_path, b"x" * 2000, spill_at=1000) as content:
        assert stored(content) == b"x" * 2000 + b"\n"
    assert set(sys.modules) <= before


def test_content_is_not_read_before_it_is_whole(tmp_path: Path) -> None:
    with Content(str(tmp_path)) as content:
        content.append(b"half")
        with pytest.raises(ValueError, match="not finished"):
            content.chunks()


def test_a_folder_that_is_not_there_is_a_failure_of_the_store(tmp_path: Path) -> None:
    with Content(str(tmp_path / "missing"), 10) as content, pytest.raises(StoreFailed, match="missing"):
        content.append(b"x" * 11)


@pytest.mark.parametrize("spill_at", [10, 10_000_000])
def test_write_to_puts_header_and_content_in_a_file(tmp_path: Path, spill_at: int) -> None:
    body = b"line\n" * 200_000
    with filled(tmp_path, body, spill_at=spill_at) as content, (tmp_path / "file").open("wb") as file:
        content.write_to(file.fileno(), b"Return-Path: <>\n")
    assert (tmp_path / "file").read_bytes() == b"Return-Path: <>\n" + body


@pytest.mark.parametrize("copied_before", [0, 1000])
def test_write_to_copies_itself_where_the_system_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied_before: int
) -> None:
    real = os.copy_file_range

    def copy(source: int, target: int, count: int, offset: int) -> int:
        if offset >= copied_before:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(source, target, copied_before, offset)

    monkeypatch.setattr(os, "copy_file_range", copy)
    body = b"line\n" * 100_000
    with filled(tmp_path, body, spill_at=10) as content, (tmp_path / "file").open("wb") as file:
        content.write_to(file.fileno(), b"X: y\n")
    assert (tmp_path / "file").read_bytes() == b"X: y\n" + body


def test_write_to_passes_other_errors_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "copy_file_range", copy)
    with filled(tmp_path, b"x" * 100, spill_at=10) as content, (tmp_path / "file").open("wb") as file:  # noqa: SIM117
        with pytest.raises(OSError, match="Input/output"):
            content.write_to(file.fileno(), b"")


def test_bare_line_feeds() -> None:
    assert [bare_line_feeds(data) for data in (b"", b"\n", b"\r\n", b"a\nb\r\nc\r\r\n\n")] == [0, 1, 0, 2]
