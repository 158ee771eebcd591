"""Locks between processes and between threads."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vmaild.store.locks import LockTimeout, exclusive, try_exclusive

HOLD = """
import sys
from vmaild.store.locks import exclusive
with exclusive(sys.argv[1], None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_file_may_be_written_by_its_group_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    old = os.umask(0o077)
    try:
        with exclusive(str(path), 1):
            assert path.read_text() == f"{os.getpid()}\n"
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert path.read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_lock_file_of_root_belongs_to_whom_its_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    with exclusive(str(tmp_path / "lock"), 1):
        pass
    status = (tmp_path / "lock").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_another_process_is_named_and_gives_the_lock_up_when_it_is_killed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = time.monotonic()
        with pytest.raises(LockTimeout, match=f"locked by process {holder.pid}") as refused, exclusive(path, 0.1):
            pass
        assert 0.1 <= time.monotonic() - before < 5
        assert (refused.value.pid, refused.value.path) == (holder.pid, path)
        holder.kill()
    with exclusive(path, 1):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    counter = [0]

    def count(timeout: float | None) -> None:
        for _ in range(20):
            with exclusive(path, timeout):
                seen = counter[0]
                time.sleep(0.0001)
                counter[0] = seen + 1

    threads = [threading.Thread(target=count, args=(timeout,)) for timeout in (None, 30.0, None, 30.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter == [80]


def test_a_queue_that_moves_on_is_waited_for_longer_than_one_holder(tmp_path: Path) -> None:
    """A busy machine refuses nobody: the limit is for a holder that does not get done."""
    path, over = tmp_path / "lock", threading.Event()
    holder = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
    assert try_exclusive(holder)

    def hand_on() -> None:
        """One after the other has it, so quickly that nobody comes in between."""
        for number in range(1000):
            path.write_text(f"{number}\n")
            if over.wait(0.05):
                return

    queue = threading.Thread(target=hand_on)
    queue.start()
    before = time.monotonic()
    threading.Timer(1.6, os.close, [holder]).start()
    with exclusive(str(path), 0.8):
        over.set()
        assert time.monotonic() - before > 1.5
    queue.join()


def test_an_exception_in_the_block_frees_the_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with pytest.raises(KeyError), exclusive(path, None):
        raise KeyError
    with exclusive(path, 0):
        pass


def test_a_holder_that_is_not_known_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("nobody")
    with path.open() as other:
        assert try_exclusive(other.fileno())
        with pytest.raises(LockTimeout, match="another process") as refused, exclusive(str(path), 0):
            pass
    assert refused.value.pid is None


def test_try_exclusive_answers_at_once(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert try_exclusive(first)
    assert not try_exclusive(second)
    os.close(first)
    assert try_exclusive(second)
    os.close(second)


def test_where_no_file_can_be_made_there_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), exclusive(str(tmp_path / "missing" / "lock"), 1):
        pass
