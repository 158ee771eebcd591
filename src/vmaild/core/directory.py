"""What the machine knows of its virtual domains: immutable values.

`store` reads them from files, `formats` parses and renders them, `routing` decides with them. A `Directory`
answers one question, "which domain bears this name?"; whoever implements it may load a domain only when it is
first asked for, and must hand out the same snapshot for the whole of one decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from vmaild.address import Address
from vmaild.core.findings import Finding


class LookupFailed(Exception):
    """Could not look: a file cannot be read or its definition is damaged. Never the same as "not there".

    The first argument is for the administrator's log; the sender is told only Condition.LOOKUP_FAILED.
    """


class Source(NamedTuple):
    """Where something is written: a path and a line from 1 (0: the whole file). A tuple, as an Account is."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


NOWHERE = Source("")
"""Of what no file says."""


class SubFolders(StrEnum):
    """Where mail for `bob+lists` goes, when bob has a folder `lists`; the value is how gecos spells it."""

    NONE = "none"
    """To the inbox, as all his mail."""
    EXISTING = "existing"
    """Into that folder, if there is one."""
    CREATE = "create"
    """Into that folder, which is made where it is missing."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Where the owner of an account wants the mail to go: the file `forward` of the home."""

    targets: tuple[Address, ...]
    keep_copy: bool = False
    """Whether the mailbox gets the mail, too."""
    source: Source = NOWHERE


class Account(NamedTuple):
    """A login of one virtual domain (one line of its passwd file).

    A tuple: one is made for each recipient that is looked up, and of so many fields a dataclass takes four times
    as long.
    """

    login: str
    """As written in the passwd file; names its mailbox and its home."""
    uid: int
    gid: int
    full_name: str = ""
    """The first of the comma-separated fields of gecos."""
    home: str = ""
    shell: str = ""
    quota: int | None = None
    """Bytes, from `quota=SIZE` in the fifth field of gecos ("other"); None: the domain's; 0: no limit."""
    autoreply: bool = False
    """Whether the owner has a vacation text; its dates are looked at when there is somebody to answer."""
    source: Source = NOWHERE
    quota_messages: int | None = None
    """Messages, from `quota_messages=NUMBER` beside the quota; None: the domain's; 0: no limit."""
    sub_folders: SubFolders = SubFolders.NONE
    """From `folders=existing` or `folders=create` beside the quota."""
    forward: Forward | None = None
    """None: the mail stays here."""


@dataclass(frozen=True, slots=True)
class ShadowEntry:
    """One line of a shadow(5) file. Days are counted from 1970-01-01; None: empty field."""

    login: str
    password: str = field(repr=False)
    """The hash as crypt(5) writes it. Empty or not a hash (`*`, `!...`): no password is right."""
    last_change: int | None = None
    expires: int | None = None
    """The day on which the account expires (field 8)."""
    source: Source = NOWHERE

    @property
    def locked(self) -> bool:
        """Whether the account is suspended for logins (`!` before the hash, as `usermod -L` writes it)."""
        return self.password.startswith(("!", "*"))


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """One entry of an alias file: a name and its targets, not yet interpreted."""

    name: str
    """As written, unquoted, without a domain."""
    targets: tuple[str, ...]
    """Each as written, with the quotes of aliases(5) resolved: `joe`, `\\\\joe`, `joe@example.org`,
    `|command`, `/path`, `:include:/path`."""
    source: Source = NOWHERE


@dataclass(frozen=True, slots=True)
class IncludeList:
    """The targets of a file named by `:include:`, one `(target, source)` each."""

    targets: tuple[tuple[str, Source], ...] = ()


@dataclass(frozen=True, slots=True)
class AliasFile:
    """One alias file of a domain, as it is in force."""

    path: str
    entries: Mapping[str, AliasEntry]
    """By folded name."""
    trusted: bool = True
    """Whether only the site administrator can write it: only then commands, files and includes work."""
    includes: Mapping[str, IncludeList] = field(default_factory=dict)
    """By path; a path that is not a key could not be read."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a mailbox may hold; 0: no limit."""

    bytes: int = 0
    messages: int = 0

    def __bool__(self) -> bool:
        return bool(self.bytes or self.messages)


def quota_of(definition: DomainDefinition, account: Account) -> Quota:
    """The quota in force for an account: its own, else that of its domain."""
    return Quota(
        definition.quota if account.quota is None else account.quota,
        definition.quota_messages if account.quota_messages is None else account.quota_messages,
    )


@dataclass(frozen=True, slots=True)
class NoFallback:
    """The sender gets an error."""


@dataclass(frozen=True, slots=True)
class FallbackToAddress:
    """`user@other`: everything goes to one address."""

    address: Address


@dataclass(frozen=True, slots=True)
class FallbackToDomain:
    """`@other`: the same local part in another domain."""

    domain: str


@dataclass(frozen=True, slots=True)
class FallbackToName:
    """`account`: a name of the same domain; it may be an alias."""

    name: str


@dataclass(frozen=True, slots=True)
class FallbackToCommand:
    """`|command`."""

    command: str


Fallback = NoFallback | FallbackToAddress | FallbackToDomain | FallbackToName | FallbackToCommand


@dataclass(frozen=True, slots=True)
class DomainDefinition:
    """One `domains/DOMAIN.toml`; only the name is mandatory."""

    name: str
    """Canonical (see address.canonical_domain)."""
    mail_host: str = ""
    addresses: tuple[str, ...] = ()
    """Service addresses, each as ipaddress.ip_address prints it."""
    aliases: tuple[str, ...] = ()
    """Domain aliases, canonical."""
    fallback: Fallback = NoFallback()
    alias_files: tuple[str, ...] = ()
    """At most two, searched after the implicit one."""
    quota: int = 0
    """Bytes per mailbox; 0: no limit."""
    max_users: int = 0
    match_full_name: bool = False
    admins: tuple[str, ...] = ()
    """Principals: `unix:alice` or `bob@va.toto.fr`."""
    disabled: bool = False
    certificate: str = ""
    """PEM file, chain and key; empty: the site's."""
    plain_logins: bool = False
    """Whether passwords may come in clear text from other machines, without TLS."""
    source: Source = NOWHERE
    quota_messages: int = 0
    """Messages per mailbox; 0: no limit."""
    max_message_size: int = 0
    """Bytes of one message, where the site's own limit is not lower still; 0: only the site's."""
    filter: str = ""
    """The command line that every message passes before it is put in a mailbox; empty: none."""
    recipient_delimiter: str | None = None
    """What parts a login from its sub-address; empty: there are none; None: as the site has it."""
    language: str = ""
    """Of what we write to its users: `en` or `fr`; empty: the site's."""
    dkim_selector: str = ""
    """The label below `_domainkey` where the key of signed mail stands; empty: mail is not signed."""
    dkim_key: str = ""
    """PEM file of the public key; absolute."""
    rights: tuple[str, ...] = ()
    """Co-administrators who may do less than all, such as `unix:alice: aliases mail`; see core.permissions."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain as it is in force: its definition with its accounts and aliases."""

    definition: DomainDefinition
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """By folded login."""
    full_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Folded full name with dots for spaces -> folded logins; empty unless the domain matches full names."""
    alias_files: tuple[AliasFile, ...] = ()
    """In the order in which they are searched: implicit, extra 1, extra 2."""
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """The domain's own canonical name."""
        return self.definition.name


class Directory(Protocol):
    """What routing asks of the outside."""

    @property
    def delimiter(self) -> str:
        """What parts a login from its sub-address, as in `bob+lists`; empty: there are no sub-addresses."""
        ...

    def find(self, name: str) -> Domain | None:
        """The domain whose name or domain alias is `name` (canonical); None: not ours.

        Raises LookupFailed where it could not be looked up.
        """
        ...

    def bounced_to(self, local_part: str) -> Address | None:
        """Whom a bounce is for that came to a sender which was rewritten here (core.srs); None: no such sender."""
        ...


@dataclass(frozen=True, slots=True)
class Glance:
    """A directory at one moment: each domain is looked for once.

    For questions that came together. All of them had been asked before the first is answered, so none of them can
    be about a change that was made later.
    """

    directory: Directory
    _found: dict[str, Domain | None] = field(default_factory=dict)

    @property
    def delimiter(self) -> str:
        """See Directory."""
        return self.directory.delimiter

    def find(self, name: str) -> Domain | None:
        """See Directory."""
        if name not in self._found:
            self._found[name] = self.directory.find(name)
        return self._found[name]

    def bounced_to(self, local_part: str) -> Address | None:
        """See Directory."""
        return self.directory.bounced_to(local_part)


class Passwords(Directory, Protocol):
    """What logging in asks of the outside, besides. Both raise LookupFailed."""

    def password_of(self, domain: str, login: str) -> ShadowEntry | None:
        """The shadow entry of a login (any case)."""
        ...

    def any_password(self, domain: str) -> str:
        """Somebody's hash of a domain, empty where there is none."""
        ...


def delimiter_of(definition: DomainDefinition, directory: Directory) -> str:
    """What parts logins from sub-addresses in a domain; empty: there are no sub-addresses."""
    own = definition.recipient_delimiter
    return directory.delimiter if own is None else own


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Directory held in memory: for dry runs and tests."""

    domains: Mapping[str, Domain]
    """By canonical name."""
    delimiter: str = "+"

    def find(self, name: str) -> Domain | None:
        """See Directory."""
        domain = self.domains.get(name)
        if domain is not None:
            return domain
        return next((domain for domain in self.domains.values() if name in domain.definition.aliases), None)

    def bounced_to(self, local_part: str) -> Address | None:
        """See Directory: senders are not rewritten here."""
        return None
