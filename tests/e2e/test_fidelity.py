"""What goes in comes out, octet for octet but for line ends: by LMTP and by vdeliver, and back by POP3."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.corpus.messages import Sample, corpus
from tests.e2e.clients import SENDER, Lmtp, Pop3, fetch, send, with_crlf, without_trace
from tests.served import ADDRESSES, COMMANDS, SHARED, Root, unmeasured

RECEIVERS = [f"{login}@{domain}" for domain in ("vb.toto.fr", "vc.toto.fr") for login in ("bob", "alice")]


def ended(content: bytes) -> bytes:
    """The content with a line end before the dot: LMTP cannot say that there was none."""
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


def differing(samples: Sequence[Sample], found: Iterable[bytes], wanted: Iterable[bytes]) -> Iterator[str]:
    """The names of the samples that did not come back as wanted."""
    for sample, message, content in zip(samples, found, wanted, strict=True):
        if without_trace(message) != content:
            yield sample.name


def test_the_corpus_by_lmtp(demo: Root) -> None:
    samples = corpus()
    with Lmtp((SHARED, demo.lmtp)) as session:
        for sample in samples:
            assert session.deliver(sample.content, ["bob@vb.toto.fr"])[0].startswith("250"), sample.name
    wanted = [with_crlf(ended(sample.content)) for sample in samples]
    assert list(differing(samples, fetch(demo, "bob@vb.toto.fr"), wanted)) == []


def deliver_all(root: Root, samples: Sequence[Sample]) -> None:
    """Pipe the samples into vdeliver for one receiver after the other, four at once."""
    # Hundreds of processes: coverage is measured by the tests of vdeliver itself.
    environment = unmeasured()
    vdeliver: list[str | Path] = [COMMANDS / "vdeliver", "--root", root.path, "-f", SENDER]

    def deliver(receiver: str, sample: Sample) -> None:
        subprocess.run([*vdeliver, receiver], input=sample.content, env=environment, check=True, timeout=60)

    with ThreadPoolExecutor(len(RECEIVERS)) as pool:
        # A mailbox keeps the order of arrival, so nobody gets two at once.
        for first in range(0, len(samples), len(RECEIVERS)):
            list(pool.map(deliver, RECEIVERS, samples[first : first + len(RECEIVERS)]))


def as_piped(content: bytes) -> bytes:
    """What of a message vdeliver takes for its content: the line of mbox tells the envelope."""
    return with_crlf(content.partition(b"\n")[2] if content.startswith(b"From ") else content)


def test_the_corpus_by_vdeliver(demo: Root) -> None:
    samples = corpus()
    deliver_all(demo, samples)
    for number, receiver in enumerate(RECEIVERS):
        theirs = samples[number :: len(RECEIVERS)]
        wanted = [as_piped(sample.content) for sample in theirs]
        assert list(differing(theirs, fetch(demo, receiver), wanted)) == []


def test_part_of_the_corpus_by_vdeliver_without_a_server(root: Root) -> None:
    samples = corpus()[::9]
    root.empty()
    deliver_all(root, samples)
    for number, receiver in enumerate(RECEIVERS):
        theirs = samples[number :: len(RECEIVERS)]
        found = [with_crlf(message) for message in root.stored(receiver)]
        wanted = [as_piped(sample.content) for sample in theirs]
        assert list(differing(theirs, found, wanted)) == []


@pytest.fixture(scope="module")
def large() -> bytes:
    """A message of 50 MB, with lines of every length and dots at their beginning."""
    noise = random.Random(50)
    block = b"".join(b"." * (n % 3) + b"%x" % noise.getrandbits(8 * (n % 200) + 8) + b"\r\n" for n in range(4000))
    return b"Subject: 50 MB\r\n\r\n" + block * (50_000_000 // len(block) + 1)


def test_fifty_megabytes_by_lmtp_to_two_mailboxes(demo: Root, large: bytes) -> None:
    receivers = RECEIVERS[:2]
    assert [reply[:3] for reply in send(demo, large, *receivers)] == ["250"] * 2
    for receiver in receivers:
        (message,) = fetch(demo, receiver)
        assert without_trace(message) == large


def test_fifty_megabytes_by_vdeliver(demo: Root, large: bytes) -> None:
    assert demo.vdeliver(large, "bob@vc.toto.fr").returncode == 0
    (message,) = fetch(demo, "bob@vc.toto.fr")
    assert without_trace(message) == large


@pytest.fixture
def narrow(root: Root, request: pytest.FixtureRequest) -> Root:
    """A served root where messages may have 1 MB, and mailboxes of va.toto.fr, too."""
    root.empty()
    for file, old, new in (("vmail.toml", '# max_size = "100M"', 'max_size = "1M"'),
                           ("domains/va.toto.fr.toml", '"100M"', '"1M"')):  # fmt: skip
        text = (root.etc / file).read_text()
        assert old in text
        (root.etc / file).write_text(text.replace(old, new))
    request.getfixturevalue("served")
    return root


def test_a_message_over_the_limit_is_refused_whole(narrow: Root) -> None:
    (reply,) = send(narrow, b"x" * 70 + b"\r\n" * 1_000_000, "bob@vb.toto.fr")
    assert reply.startswith("552 5.3.4")
    with Lmtp((SHARED, narrow.lmtp)) as session:
        session.reply("LHLO client.example")
        assert session.reply(f"MAIL FROM:<{SENDER}> SIZE=2000000").startswith("552 5.3.4")
    assert narrow.vdeliver(b"x\n" * 1_000_000, "bob@vb.toto.fr").returncode == 69
    assert narrow.everything_stored() == {}
    assert list(narrow.path.glob("var/spool/vmail/.incoming/*")) == []


def test_a_full_mailbox_is_told_and_others_get_the_message(narrow: Root) -> None:
    content = b"Subject: Large\r\n\r\n" + b"x" * 600_000
    both = ("bob@va.toto.fr", "bob@vb.toto.fr")
    assert [reply[:9] for reply in send(narrow, content, *both)] == ["250 2.0.0", "250 2.0.0"]
    assert [reply[:9] for reply in send(narrow, content, *both)] == ["552 5.2.2", "250 2.0.0"]
    with Pop3((ADDRESSES["va.toto.fr"], narrow.pop3)) as session:
        session.log_in("bob", "bob-va")
        session.ask("DELE 1")
        session.ask("QUIT")
    assert [reply[:9] for reply in send(narrow, content, *both)] == ["250 2.0.0", "250 2.0.0"]
    assert narrow.everything_stored() == {"bob@va.toto.fr": 1, "bob@vb.toto.fr": 3}
