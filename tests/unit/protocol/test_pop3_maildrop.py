"""Marks, counts and listings of a maildrop."""

from __future__ import annotations

from vmaild.protocol.pop3_maildrop import Maildrop


def test_a_maildrop_counts_what_is_not_deleted() -> None:
    maildrop = Maildrop([10, 20, 30], ["a", "b", "c"])
    assert (len(maildrop), maildrop.count, maildrop.octets, maildrop.deleted) == (3, 3, 60, ())
    maildrop.delete(2)
    maildrop.delete(0)
    assert (len(maildrop), maildrop.count, maildrop.octets, maildrop.deleted) == (3, 1, 20, (0, 2))
    assert [maildrop.is_deleted(index) for index in range(3)] == [True, False, True]
    assert maildrop.listing(maildrop.sizes) == "2 20\r\n"
    maildrop.reset()
    assert (len(maildrop), maildrop.count, maildrop.octets, maildrop.deleted) == (3, 3, 60, ())
    assert maildrop.listing(maildrop.uids) == "1 a\r\n2 b\r\n3 c\r\n"


def test_two_maildrops_share_no_marks() -> None:
    one, other = Maildrop([10], ["a"]), Maildrop([10], ["a"])
    one.delete(0)
    assert other.deleted == ()
    one.reset()
    other.delete(0)
    assert one.deleted == ()


def test_the_sum_need_not_be_added_up() -> None:
    class Sizes(list[int]):
        def __iter__(self) -> object:  # type: ignore[override]
            raise AssertionError("added up")

    maildrop = Maildrop(Sizes([10, 20]), ["a", "b"], 30)
    maildrop.delete(0)
    assert maildrop.octets == 20
    maildrop.reset()
    assert maildrop.octets == 30


def test_the_highest_number_accessed() -> None:
    maildrop = Maildrop([10, 20, 30], ["a", "b", "c"])
    assert maildrop.highest == 0
    maildrop.access(1)
    maildrop.access(0)
    assert maildrop.highest == 2
    maildrop.delete(2)
    assert maildrop.highest == 3
    maildrop.reset()
    assert maildrop.highest == 0


def test_deleting_many_is_linear() -> None:
    """Copying the marks each time would take minutes."""
    count = 100_000
    maildrop = Maildrop([1] * count, [""] * count)
    for index in range(count):
        maildrop.delete(index)
    assert maildrop.deleted == tuple(range(count))
