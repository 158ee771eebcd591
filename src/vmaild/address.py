"""Mail addresses: parse, fold, compare, IDNA.

An `Address` is a mailbox of RFC 5321 section 4.1.2 with its local part unquoted and its domain in one
canonical spelling, so that two addresses can be compared without thinking about case, quotes or IDNA again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_LOCAL_PART = 256
"""Octets. RFC 5321 4.5.3.1.1 asks for 64; VERP and SRS senders are longer and real."""
MAX_DOMAIN = 253
"""Characters of a domain name without its final dot (RFC 1035 2.3.4)."""

# RFC 5321 4.1.2 Atom, and RFC 6531 3.3, which adds every character outside ASCII.
_DOT_STRING = re.compile(r"[^\s\x00-\x20\x7f\"(),:;<>@\[\\\]]+")
_QUOTED_STRING = re.compile(r'"((?:[^"\\\r\n]|\\[^\r\n])*)"')
# Underscores are not host names (RFC 952) but are met in mail domains of private networks.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LITERAL = re.compile(r"\[[0-9A-Za-z.:-]{2,60}\]")


class AddressError(ValueError):
    """The text is not a mail address or not a domain name; its text says why, fit for the sender's eyes."""


@dataclass(frozen=True, slots=True)
class Address:
    """A local part and a domain; the domain is empty for a bare name such as `postmaster`."""

    local_part: str
    """As written by the sender, without quotes."""
    domain: str = ""
    """Canonical: lower case, A-labels, no final dot; an address literal keeps its brackets."""

    @property
    def key(self) -> str:
        """The local part as names are compared: case folded."""
        return fold(self.local_part)

    def __str__(self) -> str:
        local_part = self.local_part
        if not is_dot_string(local_part):
            local_part = '"' + re.sub(r'(["\\])', r"\\\1", local_part) + '"'
        return f"{local_part}@{self.domain}" if self.domain else local_part


def fold(name: str) -> str:
    """Fold a local part or login for comparison: composed (NFC), lower case.

    `lower` and not `casefold`: the latter makes `straße` and `strasse`, which may be two people, one.
    """
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def is_dot_string(local_part: str) -> bool:
    """Whether a local part may stand without quotes (RFC 5321 4.1.2 Dot-string, dots borne anywhere)."""
    return _DOT_STRING.fullmatch(local_part) is not None


@lru_cache(maxsize=1024)  # most recipients are of the same few domains
def canonical_domain(text: str) -> str:
    """Bring a domain name into its one spelling: lower case, A-labels (RFC 5890), no final dot.

    Raises AddressError for what is not a domain name. Address literals (`[192.0.2.1]`) are kept as they are.
    """
    domain = text.removesuffix(".")
    if domain.startswith("["):
        if _LITERAL.fullmatch(domain) is None:
            raise AddressError(f"'{text}' is not an address literal")
        return domain.lower()
    if not domain.isascii():
        import idna  # noqa: PLC0415  its tables are large, and most mail needs none of them

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(f"'{text}' is not a domain name: {error}") from error
    domain = domain.lower()
    if len(domain) > MAX_DOMAIN or not all(map(_LABEL.fullmatch, domain.split("."))):
        raise AddressError(f"'{text}' is not a domain name")
    return domain


def display_domain(domain: str) -> str:
    """A canonical domain as people read it: U-labels where they exist."""
    if "xn--" not in domain:
        return domain
    import idna  # noqa: PLC0415  see canonical_domain

    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


def parse_address(text: str) -> Address:
    """Parse `local@domain`, `"quoted local"@domain` or a bare local part.

    Raises AddressError, whose text is fit for an SMTP reply.
    """
    quoted = _QUOTED_STRING.match(text)
    if quoted is not None:
        local_part = re.sub(r"\\(.)", r"\1", quoted.group(1))
        rest = text[quoted.end() :]
    else:
        local_part, at, domain = text.rpartition("@")
        if not at:
            local_part, domain = text, ""
        rest = at + domain
        if not is_dot_string(local_part):
            raise AddressError(f"'{text}' is not a mail address")
    if len(local_part.encode("utf-8", "surrogateescape")) > MAX_LOCAL_PART:
        raise AddressError("the local part is too long")
    if not local_part or "\0" in local_part:
        raise AddressError(f"'{text}' is not a mail address")
    if not rest:
        return Address(local_part)
    if not rest.startswith("@"):
        raise AddressError(f"'{text}' is not a mail address")
    return Address(local_part, canonical_domain(rest[1:]))
