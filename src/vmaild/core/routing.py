r"""Where a recipient's mail goes, and why: one function, used by everything.

The order, for a recipient and for every name that an alias leads to:

1. Domain: not ours -> `NotLocal`; a domain alias continues in its domain.
2. Alias: the implicit file, then the extra files; the first match wins.
3. Account by login; then, where the domain asks for it, by full name with dots for spaces. Where its owner
   forwards, the mail goes there, and to the mailbox if a copy is kept.
4. Sub-address: `login+detail` as `login`. A sender that was rewritten here (SRS) is the one that it was.
5. Fallback of the domain.

`\joe`, and a name that is being expanded already, mean the account. Nothing runs while routing: a target is
a value, and `delivery` carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core.directory import (
    Account,
    AliasFile,
    Directory,
    Domain,
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    Forward,
    LookupFailed,
    NoFallback,
    Source,
    delimiter_of,
)
from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.outcome import Rejected as RejectedOutcome

MAX_DEPTH = 50
"""Aliases within aliases; beyond it the set-up is taken for wrong and mail waits."""
MAX_TARGETS = 10_000
"""Targets of one recipient, all lists expanded."""


@dataclass(frozen=True, slots=True)
class ToMailbox:
    """Put into the mailbox of an account."""

    domain: str
    login: str
    detail: str = ""
    """The sub-address: `lists` of `bob+lists`."""
    seen: tuple[Domain, Account] | None = field(default=None, compare=False, repr=False)
    """The account as it was when this was decided; None: the target did not come from `route`."""

    def __str__(self) -> str:
        return f"mailbox {self.login}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Resend:
    """Send on to an address outside the virtual domains, through the site's relay."""

    address: Address
    owner: Address | None = None
    """The sender to resend with: `owner-LIST` where such a name exists; None: the message's own sender."""

    def __str__(self) -> str:
        return f"resend to {self.address}" + (f" as {self.owner}" if self.owner else "")


@dataclass(frozen=True, slots=True)
class ToCommand:
    """Pipe into a command."""

    command: str
    domain: str
    user: str
    """The local part that led here, for the token `%u`."""

    def __str__(self) -> str:
        return f"command |{self.command}"


@dataclass(frozen=True, slots=True)
class ToFile:
    """Append to a file."""

    path: str

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class AutoReply:
    """Answer the sender with the vacation text of an account."""

    domain: str
    login: str

    def __str__(self) -> str:
        return f"automatic reply of {self.login}@{self.domain}"


Target = ToMailbox | Resend | ToCommand | ToFile | AutoReply


class Rule(Enum):
    """Which part of the order a step belongs to."""

    DOMAIN = "domain"
    ALIAS = "alias"
    ACCOUNT = "account"
    FULL_NAME = "full name"
    SUB_ADDRESS = "sub-address"
    SENDER = "rewritten sender"
    FORWARD = "forwarding"
    FALLBACK = "fallback"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Step:
    """One look at one place, for people to read."""

    rule: Rule
    text: str
    source: Source | None = None
    depth: int = 0
    """How many expansions deep."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """There is somewhere to put it."""

    targets: tuple[Target, ...]
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """There is nowhere to put it, and that is certain."""

    reason: Condition
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class NotLocal:
    """The domain is none of ours."""

    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Undecided:
    """It cannot be said now: a file cannot be read, or the set-up is wrong. Mail waits."""

    reason: Condition
    problem: str
    """For the administrator, never for the sender."""
    steps: tuple[Step, ...] = ()


Route = Accepted | Rejected | NotLocal | Undecided


def route(directory: Directory, recipient: Address, *, explain: bool = False) -> Route:
    """Decide where mail for `recipient` goes. Steps are recorded only where `explain` asks for them."""
    walk = _Walk(directory, explain)
    try:
        walk.address(recipient, None, 0)
    except LookupFailed as failure:
        return Undecided(Condition.LOOKUP_FAILED, str(failure), tuple(walk.steps))
    except _Undecidable as stop:
        return Undecided(stop.reason, stop.problem, tuple(walk.steps))
    steps = tuple(walk.steps) if explain else ()
    targets = tuple(walk.targets.values())
    if walk.not_local:
        return NotLocal(steps)
    if targets:
        return Accepted(targets, steps)
    # Fallbacks that name each other are no loop to the sender: there is simply nobody of that name.
    loop = walk.aliased and walk.loop and not walk.missing
    return Rejected(Condition.LOOP if loop else Condition.NO_SUCH_USER, steps)


def answer(decided: Route) -> Outcome:
    """What RCPT answers: acceptance, or why not."""
    match decided:
        case Accepted():
            return _ACCEPTED
        case Rejected(reason):
            return RejectedOutcome(reason)
        case NotLocal():
            return RejectedOutcome(Condition.NOT_LOCAL)
        case Undecided(reason):
            return Deferred(reason)


_ACCEPTED = Delivered(Condition.ACCEPTED)


class _Undecidable(Exception):
    """Mail for this recipient has to wait."""

    def __init__(self, reason: Condition, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the targets of an alias stand, and what that allows."""

    domain: Domain
    trusted: bool
    alias: str
    owner: Address | None
    depth: int


class _Walk:
    """One run of `route`: what has been met, and where it led."""

    not_local = aliased = loop = missing = False
    _added = 0
    """How often a way ended at a target."""
    _budget = MAX_TARGETS

    def __init__(self, directory: Directory, explain: bool) -> None:
        self.directory = directory
        self.explain = explain
        self.steps: list[Step] = []
        self.targets: dict[object, Target] = {}
        self._expanding: dict[tuple[str, str], bool] = {}
        """(domain, folded name) -> whether it is still being expanded."""
        self._forwarding: dict[tuple[str, str], bool] = {}
        """Likewise (domain, folded login) for accounts that forward."""
        self._found: dict[str, Domain | None] = {}
        """One decision sees one snapshot of a domain, and asks for it once."""

    def step(self, rule: Rule, text: str, source: Source | None, depth: int) -> None:
        """Record a step, if steps are asked for; where most mail comes by, nobody puts a text together in vain."""
        if self.explain:
            self.steps.append(Step(rule, text, source, depth))

    def find(self, name: str) -> Domain | None:
        if name in self._found:
            return self._found[name]
        found = self._found[name] = self.directory.find(name)
        return found

    def address(self, address: Address, owner: Address | None, depth: int) -> None:
        """Route one address: the recipient, or the target of an alias or a fallback."""
        domain = self.find(address.domain)
        if domain is None:
            if depth:
                self.add(Resend(address, owner), Address(address.key, address.domain), depth)
            else:
                self.not_local = True
                self.step(Rule.DOMAIN, f"'{address.domain}' is not a domain of this server", None, depth)
            return
        if self.explain:
            definition = domain.definition
            own = address.domain == domain.name
            text = f"domain {domain.name}" if own else f"domain alias '{address.domain}' of {domain.name}"
            self.step(Rule.DOMAIN, text, definition.source, depth)
        if domain.definition.disabled:
            raise _Undecidable(Condition.DOMAIN_DISABLED, f"{domain.name} is disabled")
        self.name(domain, address.local_part, owner, depth)

    def name(self, domain: Domain, name: str, owner: Address | None, depth: int, *, last: bool = False) -> None:
        """Route one name of a domain through the whole order; `last`: it is the fallback itself."""
        if depth > MAX_DEPTH:
            raise _Undecidable(Condition.BAD_CONFIGURATION, f"aliases of {domain.name} nest too deeply")
        folded = fold(name)
        key = (domain.definition.name, folded)
        state = self._expanding.get(key)
        if state is None:
            self._expanding[key] = True
            if not self.known(domain, name, folded, owner, depth) and not self.bounce(domain, name, depth):
                if last:
                    self.nobody(f"the fallback '{name}' is not known", domain.definition.source, depth)
                else:
                    self.fallback(domain, name, owner, depth)
            self._expanding[key] = False
        elif not state:
            self.step(Rule.TARGET, f"'{name}' has been followed already", None, depth)
        elif not self.account(domain, name, folded, "", depth):
            self.loop = True
            self.step(Rule.TARGET, f"'{name}' leads back to itself: not followed again", None, depth)

    def known(self, domain: Domain, name: str, folded: str, owner: Address | None, depth: int) -> bool:
        """Steps 2 to 4 of the order; whether the name is known at all. Each name comes with its folded form."""
        if self.alias(domain, name, folded, owner, depth) or self.account(domain, name, folded, "", depth):
            return True
        base, delimiter, detail = name.partition(delimiter_of(domain.definition, self.directory) or "\0")
        if not delimiter or not base:
            return False
        self.step(Rule.SUB_ADDRESS, f"'{name}' as '{base}' with '{detail}'", None, depth)
        folded = fold(base)
        key = (domain.name, folded)
        if key in self._expanding:
            return self.account(domain, base, folded, detail, depth)
        self._expanding[key] = True
        known = self.alias(domain, base, folded, owner, depth) or self.account(domain, base, folded, detail, depth)
        del self._expanding[key]
        return known

    def alias(self, domain: Domain, name: str, folded: str, owner: Address | None, depth: int) -> bool:
        """Step 2."""
        for alias_file in domain.alias_files:
            entry = alias_file.entries.get(folded)
            if entry is not None:
                break
        else:
            if self.explain:
                files = ", ".join(alias_file.path for alias_file in domain.alias_files)
                self.step(Rule.ALIAS, f"no alias '{name}'" + (f" in {files}" if files else ""), None, depth)
            return False
        if self.explain:
            self.step(Rule.ALIAS, f"alias '{entry.name}' -> {', '.join(entry.targets)}", entry.source, depth)
        self.aliased = True
        owner = self.list_owner(domain, entry.name) or owner
        place = _Place(domain, alias_file.trusted, entry.name, owner, depth + 1)
        for text in entry.targets:
            if text.startswith(":include:"):
                self.include(place, alias_file, text, entry.source)
            else:
                self.target(place, text, entry.source)
        return True

    def bounce(self, domain: Domain, name: str, depth: int) -> bool:
        """A bounce to a sender that was rewritten here goes back the way that the message came."""
        sender = self.directory.bounced_to(name) if name[:3] in {"SRS", "srs"} else None
        if sender is None:
            return False
        self.step(Rule.SENDER, f"'{name}' is {sender}, rewritten when mail was sent on", None, depth)
        self.address(sender, None, depth + 1)
        return True

    def list_owner(self, domain: Domain, name: str) -> Address | None:
        """The owner of a list (aliases(5) of Sendmail): `owner-NAME`, where there is such a name."""
        owner = f"owner-{fold(name)}"
        known = owner in domain.accounts or any(owner in aliases.entries for aliases in domain.alias_files)
        return Address(owner, domain.name) if known else None

    def include(self, place: _Place, alias_file: AliasFile, text: str, source: Source) -> None:
        """Follow the list of an `:include:`."""
        self.needs_trust(place, text, source)
        path = text.removeprefix(":include:").strip()
        included = alias_file.includes.get(path)
        if included is None:
            raise _Undecidable(Condition.BAD_CONFIGURATION, f"{source}: cannot read {path}")
        self.step(Rule.TARGET, f"list {path}", Source(path), place.depth)
        # A list may be kept by its owner, who must not run programs through it.
        place = replace(place, trusted=False)
        for member, member_source in included.targets:
            self.target(place, member, member_source)

    def spend(self, source: Source) -> None:
        """Count a target that is about to be followed."""
        self._budget -= 1
        if self._budget < 0:
            raise _Undecidable(Condition.BAD_CONFIGURATION, f"{source}: more than {MAX_TARGETS} targets")

    def target(self, place: _Place, text: str, source: Source) -> None:
        """Follow one target as it is written in an alias file or a list."""
        self.spend(source)
        domain, depth = place.domain, place.depth
        if text.startswith("|"):
            self.needs_trust(place, text, source)
            self.add(ToCommand(text[1:].strip(), domain.name, place.alias), None, depth)
        elif text.startswith("/"):
            self.needs_trust(place, text, source)
            self.add(ToFile(text), None, depth)
        elif text.startswith(":"):
            raise _Undecidable(Condition.BAD_CONFIGURATION, f"{source}: '{text}' is not served here")
        elif text.startswith("\\"):
            self.backslash(domain, text[1:], source, depth)
        elif "@" in text:
            try:
                address = parse_address(text)
            except AddressError as error:
                self.nobody(str(error), source, depth)
            else:
                self.address(address, place.owner, depth)
        else:
            self.name(domain, text, place.owner, depth)

    def backslash(self, domain: Domain, text: str, source: Source, depth: int) -> None:
        r"""`\joe` means the account, whatever aliases say."""
        name, at, domain_name = text.rpartition("@")
        if at:
            try:
                asked = self.find(parse_address(text).domain)
            except AddressError:
                asked = None
            if asked is None or asked.name != domain.name:
                self.nobody(f"'\\{text}': {domain_name} is not this domain", source, depth)
                return
        else:
            name = text
        if not self.account(domain, name, fold(name), "", depth):
            self.nobody(f"no account '{name}' for '\\{text}'", source, depth)

    def account(self, domain: Domain, name: str, folded: str, detail: str, depth: int) -> bool:
        """Step 3: by login, then by full name."""
        account = domain.accounts.get(folded)
        if account is not None:
            if self.explain:
                self.step(Rule.ACCOUNT, f"account '{account.login}'", account.source, depth)
            self.mailbox(domain, account, detail, depth)
            return True
        if self.explain:
            self.step(Rule.ACCOUNT, f"no account '{name}'", None, depth)
        if not domain.definition.match_full_name:
            return False
        logins: Sequence[str] = domain.full_names.get(folded, ())
        if len(logins) == 1:
            account = domain.accounts[logins[0]]
            self.step(
                Rule.FULL_NAME,
                f"full name '{account.full_name}' of account '{account.login}'",
                account.source,
                depth,
            )
            self.mailbox(domain, account, detail, depth)
            return True
        if logins:
            # Two people of one name: a letter to the wrong one is worse than an error to the sender.
            self.step(Rule.FULL_NAME, f"'{name}' could be any of {', '.join(logins)}: none", None, depth)
        else:
            self.step(Rule.FULL_NAME, f"no account with the full name '{name}'", None, depth)
        return False

    def mailbox(self, domain: Domain, account: Account, detail: str, depth: int) -> None:
        if account.forward is None or not self.forward(domain, account, account.forward, depth):
            # The same mailbox by way of two sub-addresses still gets one copy.
            login = account.login
            self.add(ToMailbox(domain.name, login, detail, (domain, account)), (domain.name, login), depth)
        if account.autoreply:
            self.add(AutoReply(domain.name, account.login), None, depth)

    def forward(self, domain: Domain, account: Account, forward: Forward, depth: int) -> bool:
        """Follow the owner's forwarding; whether the mailbox itself gets nothing.

        It does get the mail where the owner keeps a copy, where the forwarding comes back to it, and where it
        leads nowhere: what somebody wrote into a form long ago must not cost a letter.
        """
        key = (domain.name, fold(account.login))
        under_way = self._forwarding.get(key)
        if under_way is not None:
            return not under_way
        self._forwarding[key] = True
        written = ", ".join(map(str, forward.targets))
        self.step(Rule.FORWARD, f"'{account.login}' forwards to {written}", forward.source, depth)
        added = self._added
        for target in forward.targets:
            self.spend(forward.source)
            self.address(target, None, depth + 1)
        self._forwarding[key] = False
        if self._added == added:
            self.step(Rule.FORWARD, "that leads nowhere: the mail stays here", forward.source, depth)
            return False
        if forward.keep_copy:
            self.step(Rule.FORWARD, "and a copy stays here", forward.source, depth)
        return not forward.keep_copy

    def fallback(self, domain: Domain, name: str, owner: Address | None, depth: int) -> None:
        """Step 5."""
        definition = domain.definition
        match definition.fallback:
            case NoFallback():
                self.nobody(f"no fallback: '{name}' is not known in {domain.name}", definition.source, depth)
            case FallbackToAddress(address):
                self.step(Rule.FALLBACK, f"everything else to {address}", definition.source, depth)
                self.address(address, owner, depth + 1)
            case FallbackToDomain(other):
                self.step(Rule.FALLBACK, f"same name at {other}", definition.source, depth)
                self.address(Address(name, other), owner, depth + 1)
            case FallbackToName(local):
                self.step(Rule.FALLBACK, f"everything else to '{local}'", definition.source, depth)
                self.name(domain, local, owner, depth + 1, last=True)
            case FallbackToCommand(command):
                self.step(Rule.FALLBACK, f"everything else to |{command}", definition.source, depth)
                self.add(ToCommand(command, domain.name, name), None, depth)

    def nobody(self, text: str, source: Source, depth: int) -> None:
        self.missing = True
        self.step(Rule.TARGET if depth else Rule.FALLBACK, text, source, depth)

    def needs_trust(self, place: _Place, text: str, source: Source) -> None:
        if not place.trusted:
            raise _Undecidable(
                Condition.BAD_CONFIGURATION, f"{source}: '{text}' stands in a file that others may write"
            )

    def add(self, target: Target, same_as: object, depth: int) -> None:
        """Take a target once, however many ways lead to it."""
        self._added += 1
        self.targets.setdefault(target if same_as is None else (type(target), same_as), target)
        if self.explain:
            self.step(Rule.TARGET, str(target), None, depth)
