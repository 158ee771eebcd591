"""What a POP3 server offers, and how CAPA tells it (RFC 2449)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vmaild.protocol.pop3_events import State
from vmaild.protocol.pop3_texts import LANGUAGES
from vmaild.protocol.sasl import MECHANISMS


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server offers beyond RFC 1939, CAPA, TOP, UIDL and response codes; one object for all connections.

    Raises ValueError for what cannot be.
    """

    stls: bool = False
    """STLS (RFC 2595), until TLS is active."""
    plain_logins: bool = True
    """Whether USER, PASS and AUTH are admitted before TLS is active (RFC 2595 section 2.3)."""
    mechanisms: tuple[str, ...] = ()
    """AUTH (RFC 5034) with these, of sasl.MECHANISMS."""
    utf8: bool = False
    """UTF8, and logins and passwords in UTF-8 (RFC 6856 section 2). What is not UTF-8 is refused after UTF8."""
    lang: bool = False
    """LANG (RFC 6856 section 3)."""
    preferred_language: str = "en"
    """What `LANG *` chooses; before a LANG all is English."""
    last: bool = False
    """LAST (RFC 1460)."""
    login_delay: int = 0
    """Seconds that the outside wants between two logins (RFC 2449 section 6.5); 0: none."""
    expire: int | None = None
    """Days for which messages are kept at least (RFC 2449 section 6.7); None: for ever."""
    max_bad_commands: int = 20
    """So many in a row are borne before the login, the last of them closes the connection."""
    max_bad_commands_inside: int = 100
    """So many after it: whoever is logged in may try us out."""
    max_refused_logins: int = 10
    """So many in all, the last of them closes the connection."""

    def __post_init__(self) -> None:
        if unknown := set(self.mechanisms) - set(MECHANISMS):
            raise ValueError(f"no such SASL mechanism: {', '.join(sorted(unknown))}")
        if self.preferred_language not in [language.tag for language in LANGUAGES]:
            raise ValueError(f"no replies in this language: {self.preferred_language}")
        if self.login_delay < 0 or (self.expire or 0) < 0:
            raise ValueError("a time is negative")


PLAIN_POP3: Final = Settings()
"""Nothing beyond."""


def capabilities(settings: Settings, state: State, version: str, *, tls: bool) -> list[str]:
    """The lines of CAPA. What can be had before the login is told after it as well (RFC 2449 section 5)."""
    logins = tls or settings.plain_logins
    offered = {
        "TOP": True,
        "USER": logins,
        # RFC 5034 section 3: also when no AUTH can follow any more.
        f"SASL {' '.join(settings.mechanisms)}": logins and settings.mechanisms,
        # RFC 2595 section 4: only where it is permitted.
        "STLS": settings.stls and not tls and state is State.AUTHORIZATION,
        "UIDL": True,
        "RESP-CODES": True,
        "AUTH-RESP-CODE": True,
        "PIPELINING": True,
        f"LOGIN-DELAY {settings.login_delay}": settings.login_delay,
        f"EXPIRE {'NEVER' if settings.expire is None else settings.expire}": True,
        "UTF8 USER": settings.utf8,
        "LANG": settings.lang,
        # RFC 2449 section 6.9 allows telling it only to those logged in.
        f"IMPLEMENTATION vmaild-{version}": state is State.TRANSACTION,
    }
    return [line for line, told in offered.items() if told]
