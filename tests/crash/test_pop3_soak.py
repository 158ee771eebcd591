"""POP3 sessions cut at random points, workers killed at random: no message lost, doubled or in part; no growth.

The same at full length is `python -m bench.soak`.
"""

from __future__ import annotations

from bench.soak import Soak
from tests.served import Served

GROWTH = 6 * 1024
"""kB that a worker may grow by after its first seconds: buffers of what is being sent at the same time."""


def test_a_soak_of_cut_sessions_and_killed_workers(served: Served) -> None:
    served.root.empty()
    soak = Soak(served)
    soak.run(1.5)
    before = soak.loads()
    soak.run(3.0)
    after = soak.loads()
    assert before.keys() == after.keys(), "a worker has ended by itself"
    for pid, load in after.items():
        assert load.descriptors == before[pid].descriptors
        assert load.memory < before[pid].memory + GROWTH
    soak.run(5.0, kills=10)
    assert {load.descriptors for load in soak.loads().values()} <= {load.descriptors for load in after.values()}
    done = soak.done
    assert done["workers killed"] >= 5
    assert min(done["cut"], done["ended by QUIT"], done["deleted"]) > 50, "too little for this to tell anything"
    assert done["cut by the server"] > 0
