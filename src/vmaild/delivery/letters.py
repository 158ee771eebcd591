"""Letters that we write ourselves, as RFC 5322 and MIME want them, whatever language they are in."""

from __future__ import annotations

from collections.abc import Mapping
from email.header import decode_header, make_header
from email.headerregistry import Address as Shown
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from vmaild.address import Address


def letter(
    sender: tuple[str, Address], recipient: Address, subject: str, text: str, fields: Mapping[str, str]
) -> bytes:
    """A letter with LF line ends; `sender` is a name and an address, `fields` are further header fields.

    Names and subject are encoded by RFC 2047, the text is UTF-8; fields without a value are left out.
    """
    policy = SMTP.clone(linesep="\n", utf8=not (_plain(sender[1]) and _plain(recipient)))
    written = EmailMessage(policy=policy)
    name, own = sender
    written["From"] = Shown(_line(name), own.local_part, own.domain)
    written["To"] = Shown("", recipient.local_part, recipient.domain)
    written["Subject"] = _line(subject)
    written["Date"] = formatdate(localtime=True)
    written["Message-ID"] = make_msgid(domain=own.domain)
    for field, value in fields.items():
        if value and value.isascii():
            written[field] = _line(value)
    written.set_content(text, charset="utf-8", cte="quoted-printable" if _is_mostly_ascii(text) else "base64")
    return written.as_bytes()


def decoded(text: str) -> str:
    """A header's text with its RFC 2047 words decoded; what is damaged stays as it is."""
    try:
        return _line(str(make_header(decode_header(text))))
    except (ValueError, LookupError, UnicodeError):
        return _line(text)


def _plain(address: Address) -> bool:
    """Whether an address can stand in a header of ASCII (RFC 6532 has the others)."""
    return address.local_part.isascii()


def _is_mostly_ascii(text: str) -> bool:
    return sum(not character.isascii() for character in text) * 3 < len(text)


def _line(text: str) -> str:
    """One line of printable characters, and nothing in it that stands for others.

    The email package decodes what looks like an encoded word (RFC 2047) even where it is damaged: a line end in
    one, of a character set that nobody knows, would begin a header of the sender's choice, or the text.
    """
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    return shown.replace("=?", "= ?")
