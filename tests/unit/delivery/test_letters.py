"""What senders write is quoted in our letters, and never becomes a header of them."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from vmaild.address import Address
from vmaild.delivery.letters import decoded, letter

OWNER, SENDER = Address("bob", "va.toto.fr"), Address("joe", "x.example")

FIELDS = {"Auto-Submitted": "auto-replied", "References": "<=?x?q?=0ABcc:_x@y.example?=@z.example>"}


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: x@y.example",
        "a\n\nbody",
        "=?utf-8?q?a=0D=0ABcc:_x@y.example?=",
        "=?utf-8?b?YQ0KQmNjOiB4QHkuZXhhbXBsZQ==?=",
        "a\u2028Bcc: x\x85Cc: y\x0bTo: z\0",
        # Damaged, or of no known character set: what decodes it gives up, and what writes it tried again.
        "=?x-unknown?q?=0A?= =?utf-8?q?=E9?=",
        "=?x-unknown?q?=0ABcc:_x@y.example?=",
        "=?x-unknown?q?=0A=0Abody?=",
        "=?utf-8?q?=3D=3Fx-unknown=3Fq=3F=3D0ABcc:_x@y.example=3F=3D?=",
    ],
)
def test_no_subject_or_name_is_more_than_that(subject: str) -> None:
    for name in ("Bob", "Bob\r\nBcc: x@y.example", "=?x?q?=0ABcc:_x@y.example?=", '"<x@y.example>, '):
        text = "Bcc: in.the.text@x.example\n\nI am away.\n"
        written = letter((name, OWNER), SENDER, decoded(subject), text, FIELDS)
        read = message_from_bytes(written, policy=default)
        assert [each.lower() for each in read] == [
            *("from", "to", "subject", "date", "message-id", "auto-submitted", "references"),
            *("content-type", "content-transfer-encoding", "mime-version"),
        ]
        (sender,) = read["From"].addresses
        assert (sender.addr_spec, read["To"]) == (str(OWNER), str(SENDER))
        assert read.get_content() == text
