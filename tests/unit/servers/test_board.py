"""The board: what workers write in their rows, and what is read from all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vmaild.protocol.pop3 import CloseReason
from vmaild.servers.board import CLOSED, GAUGES, Board, LiveSession, Metric, Phase

NOW = 1_700_000_000.0


@pytest.fixture
def board() -> Board:
    """Two workers, in rows 0 and 2, of at most three sessions each."""
    board = Board.create(4, NOW, sessions=3)
    board.clear(0)
    board.clear(2)
    return board


def shown(board: Board) -> list[tuple[str, str]]:
    return [(session.login, session.address) for session in board.sessions()]


def test_rows_are_added_up(board: Board) -> None:
    one, other = board.row(0), board.row(2)
    assert set(board.totals().values()) == {0}
    one.add(Metric.LOGINS_FAILED)
    other.add(Metric.LOGINS_FAILED, 2)
    other.add(Metric.OCTETS_DELIVERED, 1 << 40)
    one.set(Metric.HASHING, 5)
    one.set(Metric.HASHING, 4)
    other.set(Metric.HASHING, 1)
    totals = board.totals()
    assert totals[Metric.LOGINS_FAILED] == 3
    assert totals[Metric.OCTETS_DELIVERED] == 1 << 40
    assert totals[Metric.HASHING] == 5
    assert sum(totals.values()) == 3 + (1 << 40) + 5
    assert board.started == NOW


def test_a_session_from_its_beginning_to_its_end(board: Board) -> None:
    row = board.row(0)
    session = row.enter("192.0.2.1", "", NOW)
    assert list(board.sessions()) == [LiveSession(Phase.LOGIN, NOW, False, 0, 0, "192.0.2.1", "", "")]
    row.secure(session, "va.toto.fr")
    assert list(board.sessions()) == [LiveSession(Phase.LOGIN, NOW, True, 0, 0, "192.0.2.1", "va.toto.fr", "")]
    row.log_in(session, "va.toto.fr", "bob")
    row.retrieve(session, 4000)
    row.retrieve(session, 25 << 20)
    assert list(board.sessions()) == [
        LiveSession(Phase.MAILDROP, NOW, True, 2, (25 << 20) + 4000, "192.0.2.1", "va.toto.fr", "bob")
    ]
    totals = board.totals()
    assert (totals[Metric.SESSIONS_OPENED], totals[Metric.OPEN_SESSIONS], totals[Metric.CLOSED_QUIT]) == (1, 1, 0)
    assert (totals[Metric.MESSAGES_RETRIEVED], totals[Metric.OCTETS_SENT]) == (2, (25 << 20) + 4000)
    row.leave(session, CLOSED[CloseReason.QUIT])
    assert list(board.sessions()) == []
    totals = board.totals()
    assert (totals[Metric.SESSIONS_OPENED], totals[Metric.OPEN_SESSIONS], totals[Metric.CLOSED_QUIT]) == (1, 0, 1)


def test_a_new_session_has_nothing_of_the_one_before(board: Board) -> None:
    row = board.row(0)
    session = row.enter("2001:db8::1", "va.toto.fr", NOW, tls=True)
    row.log_in(session, "va.toto.fr", "bob")
    row.retrieve(session, 1)
    row.leave(session, Metric.CLOSED_BY_CLIENT)
    row.enter("::1", "", NOW + 1)
    assert list(board.sessions()) == [LiveSession(Phase.LOGIN, NOW + 1, False, 0, 0, "::1", "", "")]


def test_sessions_beyond_the_room_are_counted_but_not_shown(board: Board) -> None:
    row, other = board.row(0), board.row(2)
    sessions = [row.enter(f"192.0.2.{number}", "", NOW) for number in range(6)]
    for session in sessions[3:]:
        row.log_in(session, "va.toto.fr", "bob")
        row.retrieve(session, 100)
    other.log_in(other.enter("198.51.100.1", "", NOW), "vb.toto.fr", "alice")
    assert shown(board) == [("", "192.0.2.0"), ("", "192.0.2.1"), ("", "192.0.2.2"), ("alice", "198.51.100.1")]
    assert board.totals()[Metric.OPEN_SESSIONS] == 7
    assert board.totals()[Metric.MESSAGES_RETRIEVED] == 3
    for session in reversed(sessions):
        row.leave(session, Metric.CLOSED_QUIT)
    assert shown(board) == [("alice", "198.51.100.1")]
    # All three places are free again, each once.
    for number in range(5):
        row.enter(f"203.0.113.{number}", "", NOW)
    assert len(shown(board)) == 4


def test_what_is_too_long_is_cut_and_what_is_odd_is_borne(board: Board) -> None:
    row = board.row(0)
    session = row.enter("a" * 100, "d" * 300, NOW)
    row.log_in(session, "d" * 300, "é" * 100 + "\udce9")
    (cut,) = board.sessions()
    assert (cut.address, cut.domain, cut.login) == ("a" * 48, "d" * 104, "é" * 32)
    row.log_in(session, "", "x" + "é" * 100)
    assert next(board.sessions()).login == "x" + "é" * 31 + "\ufffd"
    row.log_in(session, "", "caf\udce9")
    assert next(board.sessions()).login == "caf\\udce9"


def test_the_next_worker_of_a_row_goes_on_counting_without_the_sessions_of_the_dead(board: Board) -> None:
    dead, other = board.row(0), board.row(2)
    for number in range(5):
        dead.enter(f"192.0.2.{number}", "", NOW)
    dead.set(Metric.HASHING, 3)
    other.enter("198.51.100.1", "", NOW)
    board.clear(0)
    totals = board.totals()
    assert (totals[Metric.SESSIONS_OPENED], totals[Metric.OPEN_SESSIONS], totals[Metric.HASHING]) == (6, 1, 0)
    assert shown(board) == [("", "198.51.100.1")]
    heir = board.row(0)
    heir.enter("192.0.2.99", "", NOW)
    assert board.totals()[Metric.SESSIONS_OPENED] == 7
    assert shown(board) == [("", "192.0.2.99"), ("", "198.51.100.1")]


def test_rows_do_not_touch_each_other() -> None:
    memory = bytearray(64 + 3 * (512 + 4 * 256))
    board = Board(memory, 3, 3)
    for number in range(3):
        board.clear(number)
    before = bytes(memory)
    row = board.row(1)
    for metric in Metric:
        row.set(metric, (1 << 62) - 1)
    for _ in range(5):
        session = row.enter("a" * 48, "d" * 104, NOW)
        row.log_in(session, "d" * 104, "l" * 64)
    changed = [number for number, octet in enumerate(memory) if octet != before[number]]
    assert min(changed) >= 64 + 1536
    assert max(changed) < 64 + 2 * 1536
    assert len(changed) > 3 * 200


def test_every_reason_to_close_is_counted() -> None:
    assert CLOSED.keys() == set(CloseReason)
    assert all(metric.name.startswith("CLOSED_") for metric in CLOSED.values())
    assert not GAUGES & set(CLOSED.values())


FORKED = """
import os
from vmaild.servers.board import Board, Metric
board = Board.create(8, 1.0)
for number in range(4):
    board.clear(number)
    if os.fork() == 0:
        row = board.row(number)
        row.enter(f"192.0.2.{number}", "va.toto.fr", 2.0)
        for _ in range(2000):
            session = row.enter("192.0.2.9", "va.toto.fr", 2.0)
            row.retrieve(session, 10)
            row.leave(session, Metric.CLOSED_QUIT)
        os.kill(os.getpid(), 9)
for _ in range(4):
    os.wait()
totals = board.totals()
assert totals[Metric.SESSIONS_OPENED] == 8004
assert totals[Metric.OCTETS_SENT] == 80000
assert totals[Metric.OPEN_SESSIONS] == 4
assert sorted(session.address for session in board.sessions()) == [f"192.0.2.{n}" for n in range(4)]
"""


def test_workers_that_write_at_the_same_time_lose_nothing() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=30)
