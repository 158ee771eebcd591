"""What the demonstration consists of: three domains that look like three servers, and two small ones.

The three are va.toto.fr, vb.toto.fr and vc.toto.fr, at 127.0.0.2, .3 and .4, each with a bob and an alice who are
different people; the password of bob@va.toto.fr is `bob-va`, and so on. Between them and the small ones, every
kind of fallback is to be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent

SITE: Mapping[str, object] = {
    "site.demo": True,
    "pop3.listen": ["127.0.0.1:11110", "127.0.0.2:11110", "127.0.0.3:11110", "127.0.0.4:11110"],
    "lmtp.listen": ["127.0.0.1:11024", "unix:/run/vmail/lmtp.sock"],
    "smtp.listen": ["127.0.0.1:11025"],
    "web.listen": ["127.0.0.1:8098", "127.0.0.2:8098", "127.0.0.3:8098", "127.0.0.4:8098"],
}
"""The settings of vmail.toml, as generate.site takes them."""

ADMIN = "alice@va.toto.fr"
"""Who administers the demonstration on the web."""


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demonstration."""

    login: str
    full_name: str
    password: str
    """Well known: it stands in the manual."""


@dataclass(frozen=True, slots=True)
class DemoDomain:
    """A domain of the demonstration."""

    name: str
    definition: str
    """The text of its definition."""
    aliases: str = ""
    """The text of its alias file; empty: it has none."""
    accounts: Sequence[DemoAccount] = ()
    extra_aliases: Mapping[str, str] = field(default_factory=dict)
    """Texts of further alias files by their path, as written in the definition."""


def _domain(name: str, definition: str, aliases: str = "", people: Sequence[str] = (), **extra: str) -> DemoDomain:
    short = name.partition(".")[0]
    accounts = [
        DemoAccount(
            full_name.partition(" ")[0].lower(), full_name, f"{full_name.partition(' ')[0].lower()}-{short}"
        )
        for full_name in people
    ]
    files = {f"/etc/vmail/aliases.{name}.{suffix}": dedent(text) for suffix, text in extra.items()}
    return DemoDomain(name, dedent(definition), dedent(aliases), accounts, files)


DOMAINS: Sequence[DemoDomain] = (
    _domain(
        "va.toto.fr",
        """\
        # va.toto.fr, a domain of the demonstration. Every key may be absent: an empty file is a domain, too.

        mail_host = "mailhost.va.toto.fr"   # the name that its MX record points to
        addresses = ["127.0.0.2"]           # whoever connects to this address is served as va.toto.fr
        aliases = ["va.example"]            # another name: bob@va.example is bob@va.toto.fr
        fallback = ""                       # a recipient whom nobody knows is refused
        quota = "100M"                      # for each mailbox
        """,
        """\
        # Aliases of va.toto.fr, as in aliases(5): a name and where its mail goes. A change of this file is
        # in force at once.

        postmaster: bob

        # A list, and a list of lists: whoever is on it twice gets one copy.
        team: bob, alice
        everyone: team, postmaster
        """,
        ["Bob Martin", "Alice Moreau"],
    ),
    _domain(
        "vb.toto.fr",
        """\
        # vb.toto.fr, a domain of the demonstration.

        mail_host = "mailhost.vb.toto.fr"
        addresses = ["127.0.0.3"]
        match_full_name = true              # alice.dubois@vb.toto.fr is alice
        fallback = "postmaster"             # whom nobody knows: a name of this domain, an account or an alias
        """,
        """\
        # Aliases of vb.toto.fr.

        postmaster: alice
        """,
        ["Bob Lefèvre", "Alice Dubois"],
    ),
    _domain(
        "vc.toto.fr",
        """\
        # vc.toto.fr, a domain of the demonstration.

        mail_host = "mailhost.vc.toto.fr"
        addresses = ["127.0.0.4"]
        fallback = "@va.toto.fr"            # whom nobody knows: the same name at va.toto.fr
        alias_files = ["/etc/vmail/aliases.vc.toto.fr.partners"]    # searched after the usual one
        """,
        """\
        # Aliases of vc.toto.fr.

        postmaster: bob
        """,
        ["Bob Keller", "Alice Nguyen"],
        partners="""\
        # A second alias file of vc.toto.fr. Its target is on another server.

        accountant: office@partner.example
        """,
    ),
    _domain(
        "vd.toto.fr",
        """\
        # vd.toto.fr, a domain of the demonstration without accounts: all of its mail goes to one address.

        fallback = "alice@va.toto.fr"
        """,
    ),
    _domain(
        "ve.toto.fr",
        """\
        # ve.toto.fr, a domain of the demonstration without accounts: all of its mail goes into a command, with
        # the domain (%d) and the local part (%u) of the recipient.

        fallback = "|/usr/local/bin/open-ticket %d %u"
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """A message that is in a mailbox from the beginning."""

    domain: str
    login: str
    sender: str
    content: bytes = field(repr=False)


def sample_messages(date: str) -> Iterator[SampleMessage]:
    """The sample mail, dated `date` (RFC 5322 3.3)."""
    for number, (recipient, sender, subject, body, more) in enumerate(_MAIL, 1):
        login, _, domain = recipient.partition("@")
        address = sender[sender.index("<") + 1 : -1]
        header = (
            f"Date: {date}\nFrom: {sender}\nTo: {recipient}\nSubject: {subject}\n"
            f"Message-ID: <demo.{number}@{address.partition('@')[2]}>\nMIME-Version: 1.0\n{more}"
        )
        yield SampleMessage(domain, login, address, f"{header}\n{body}".encode())


_8BIT = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
_WELCOME = """\
Dear {name},

this is your mailbox at {domain}. There is {other}
at {elsewhere} too: the same login, on the same machine, and
nobody to be confused with you.

The postmaster
"""
_LETTER = """\
Chère Alice,

le déjeuner de jeudi est avancé à midi, à la brasserie du Théâtre.
N'oubliez pas les œuvres complètes de Mme de Sévigné, s'il vous plaît.

À bientôt,
Noël
"""
_ATTACHMENT = """\
--demo-boundary
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Bob, here are the figures of the café for the first quarter.

.hidden files begin with a dot, and so does this line.

--demo-boundary
Content-Type: text/csv; charset=us-ascii; name="figures.csv"
Content-Disposition: attachment; filename="figures.csv"
Content-Transfer-Encoding: base64

bW9udGgsY29mZmVlLHRlYQpqYW51YXJ5LDEyMDAsMzEwCmZlYnJ1YXJ5LDExNTAsMzkwCm1hcmNo
LDEzNDAsNDIwCg==

--demo-boundary--
"""
_LIST = """\
The review is on Friday at ten. Everybody on team@va.toto.fr has got this
once, whichever other lists they are on.
"""
_MIXED = 'Content-Type: multipart/mixed; boundary="demo-boundary"\n'


def _welcome(name: str, domain: str, other: str, elsewhere: str) -> str:
    return _WELCOME.format(name=name, domain=domain, other=other, elsewhere=elsewhere)


_POSTMASTER = "The postmaster <postmaster@va.toto.fr>"
_MAIL: Sequence[tuple[str, str, str, str, str]] = (
    (
        "bob@va.toto.fr",
        _POSTMASTER,
        "Welcome to va.toto.fr",
        _welcome("Bob Martin", "va.toto.fr", "a Bob Lefèvre", "vb.toto.fr"),
        _8BIT,
    ),
    ("bob@va.toto.fr", "Carol <carol@sender.example>", "Figures of the first quarter", _ATTACHMENT, _MIXED),
    (
        "bob@va.toto.fr",
        "Alice Moreau <alice@va.toto.fr>",
        "Review",
        _LIST,
        f"Sender: team@va.toto.fr\nList-Id: <team.va.toto.fr>\n{_8BIT}",
    ),
    (
        "alice@va.toto.fr",
        "=?utf-8?Q?No=C3=ABl?= <noel@sender.example>",
        "=?utf-8?Q?D=C3=A9jeuner_de_jeudi?=",
        _LETTER,
        _8BIT,
    ),
    (
        "bob@vb.toto.fr",
        "The postmaster <postmaster@vb.toto.fr>",
        "Welcome to vb.toto.fr",
        _welcome("Bob Lefèvre", "vb.toto.fr", "a Bob Martin", "va.toto.fr"),
        _8BIT,
    ),
    (
        "alice@vb.toto.fr",
        "Carol <carol@sender.example>",
        "To whom it may concern",
        "Nobody knew the name that I wrote to, so this came to you.\n",
        f"Resent-To: nobody-of-that-name@vb.toto.fr\n{_8BIT}",
    ),
    (
        "bob@vc.toto.fr",
        "The postmaster <postmaster@vc.toto.fr>",
        "Welcome to vc.toto.fr",
        _welcome("Bob Keller", "vc.toto.fr", "a Bob Martin", "va.toto.fr"),
        _8BIT,
    ),
    (
        "alice@vc.toto.fr",
        "Carol <carol@sender.example>",
        "Tickets",
        "The tickets are at the desk. Platform 9, 17:42.\n",
        _8BIT,
    ),
)
