"""Give tools/fuzz.py a start with POP3: seeds from the transcripts, and a dictionary of what the protocol knows.

usage: python tools/fuzz_seeds.py FOLDER

Writes FOLDER/corpus/, two files for each dialogue of tests/transcripts/pop3 with all that its client says (whole,
and cut into odd pieces), and FOLDER/pop3.dict. Add to the options of tools/fuzz.py, in its virtual environment:

    -dict=FOLDER/pop3.dict FOLDER/corpus/
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[0] = str(PROJECT)

from tests.transcripts.dialogue import parse_dialogue  # noqa: E402

from vmaild.protocol.pop3 import COMMANDS, MAX_COMMAND, MAX_CREDENTIAL, MAX_RESPONSE  # noqa: E402
from vmaild.protocol.sasl import MECHANISMS  # noqa: E402

CUTS = (b"\0\0", b"\x31\x75")
"""What begins an input of the fuzzer: in one piece, or in pieces of 2, 4, 6 and 8 octets over and over."""


def seeds(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and input for every dialogue of a folder."""
    for path in sorted(folder.rglob("*.txt")):
        said = parse_dialogue(path.read_text("utf-8"), "0").said_by("C")
        stream = b"".join(line + b"\r\n" for line in said)
        for cut in CUTS:
            yield f"{path.stem}-{cut.hex()}", cut + stream


def words() -> Iterator[bytes]:
    """What no fuzzer would find by chance: keywords, whole commands, responses, and lines at their limits."""
    for commands in COMMANDS.values():
        for keyword in commands:
            yield from (keyword, keyword + b"\r\n", keyword + b" 1\r\n")
    yield from (b"USER mrose\r\nPASS tanstaaf\r\n", b"TOP 2 0\r\n", b"\n", b"\r", b" ", b"*\r\n", b"=\r\n")
    for mechanism in MECHANISMS:
        yield b"AUTH " + mechanism.encode("ascii")
    for response in (b"\0mrose\0tanstaaf", b"mrose\0mrose\0tanstaaf", b"mrose", b"tanstaaf", b"\xc3\xa9", b"\xff"):
        yield b64encode(response) + b"\r\n"
    for limit in (MAX_COMMAND, MAX_CREDENTIAL, MAX_RESPONSE):
        yield b"x" * (limit - 2)


def entry(word: bytes) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{octet:02x}" for octet in word) + '"'


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    folder = Path(sys.argv[1])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds(PROJECT / "tests/transcripts/pop3"):
        (corpus / name).write_bytes(seed)
    (folder / "pop3.dict").write_text("".join(f"{entry(word)}\n" for word in dict.fromkeys(words())))
    print(f"{len(list(corpus.iterdir()))} inputs in {corpus}")


if __name__ == "__main__":
    main()
