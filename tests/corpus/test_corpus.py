"""The corpus is large, varied and always the same."""

from tests.corpus.messages import corpus


def test_corpus_is_large_and_reproducible() -> None:
    samples = corpus()
    assert len(samples) >= 200
    assert len({sample.content for sample in samples}) >= 200
    assert samples == corpus()


def test_corpus_has_what_breaks_mail_programs() -> None:
    contents = [sample.content for sample in corpus()]
    assert any(b"\0" in content for content in contents)
    assert any(b"\r\n.\r\n" in content for content in contents)
    assert any(len(line) >= 100_000 for content in contents for line in content.split(b"\r\n"))
    assert any(not content.endswith(b"\n") for content in contents)
    assert any(content.endswith(b"\r\n\r\n") for content in contents)
    assert any(len(content) > 1_000_000 for content in contents)
    assert b"" in contents
