"""Open connections of a network, counted over all workers."""

from __future__ import annotations

import subprocess
import sys

from vmaild.auth.connections import Connections

HOME, AWAY = "192.0.2.1", "198.51.100.7"


def counted() -> Connections:
    """Two workers, in rows 0 and 3."""
    connections = Connections.create(4)
    connections.clear(0)
    connections.clear(3)
    return connections


def test_connections_of_all_workers_are_counted_together() -> None:
    connections = counted()
    assert connections.count(HOME) == 0
    assert connections.opened(0, HOME) == 1
    assert connections.opened(3, HOME) == 2
    assert connections.opened(3, AWAY) == 1
    connections.closed(0, HOME)
    assert (connections.count(HOME), connections.count(AWAY)) == (1, 1)
    connections.closed(3, HOME)
    assert connections.count(HOME) == 0


def test_addresses_of_one_ipv6_network_are_counted_together() -> None:
    connections = counted()
    connections.opened(0, "2001:db8::1")
    assert connections.opened(3, "2001:db8::2") == 2
    assert connections.opened(0, "2001:db8:0:1::1") == 1


def test_the_connections_of_a_dead_worker_are_counted_no_more() -> None:
    connections = counted()
    for _ in range(7):
        connections.opened(0, HOME)
    connections.opened(3, HOME)
    connections.clear(0)
    assert connections.count(HOME) == 1
    assert connections.opened(0, HOME) == 2


def test_many_other_networks_make_no_difference() -> None:
    connections = counted()
    for number in range(20_000):
        connections.opened(number % 2 * 3, f"10.{number >> 8}.{number & 255}.1")
    exact = [connections.opened(0, f"172.16.{number}.1") for number in range(100)]
    # Each of two cells is shared with somebody in almost half of the cases; both at once counts a neighbour in.
    assert max(exact) <= 4
    assert sum(exact) < 160


FORKED = """
import os
from vmaild.auth.connections import Connections
connections = Connections.create(8)
for row in range(4):
    connections.clear(row)
    if os.fork() == 0:
        for _ in range(2000):
            connections.opened(row, "192.0.2.1")
            connections.opened(row, "192.0.2.2")
            connections.closed(row, "192.0.2.2")
        os.kill(os.getpid(), 9)
for _ in range(4):
    os.wait()
assert connections.count("192.0.2.1") == 8000, connections.count("192.0.2.1")
assert connections.count("192.0.2.2") == 0
connections.clear(2)
assert connections.count("192.0.2.1") == 6000
"""


def test_workers_that_count_at_the_same_time_lose_nothing() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=30)
