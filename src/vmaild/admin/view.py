"""What is on disk, as one decision of the administration sees it: read anew, and nothing is written.

An overlay puts what a change would write in the place of what is there, so that "after" is asked the very same
questions as "before".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from functools import cached_property

from vmaild.address import Address, AddressError, fold
from vmaild.admin.plan import FileEdit
from vmaild.admin.refusal import Code, Refused
from vmaild.core.directory import Directory, Domain, DomainDefinition, LookupFailed, ShadowEntry
from vmaild.core.findings import Finding
from vmaild.core.permissions import Action, Actor, allowed, canonical_principal
from vmaild.core.site import Site
from vmaild.store.directory import DirectoryStore, FileDirectory
from vmaild.store.files import Files, ReadFailed, text_of
from vmaild.store.layout import Layout
from vmaild.store.learnt import Learnt, read_learnt
from vmaild.store.lines import PASSWD, SHADOW, edited
from vmaild.store.roster import Roster


def file_directory(layout: Layout, site: Site) -> FileDirectory:
    """The domains of a layout, as nobody has read them yet."""
    return FileDirectory(
        layout,
        site.recipient_delimiter,
        forwarding=site.forwarding,
        keep_copies=False,
        srs=site.delivery.srs,
        learnt=read_learnt(layout) if site.pop3.learn_addresses else {},
    )


class View:
    """The configuration at one moment, and what `actor` may see of it."""

    def __init__(
        self,
        layout: Layout,
        site: Site,
        actor: Actor,
        store: DirectoryStore | None = None,
        files: Files = Files(),  # noqa: B008  immutable
    ) -> None:
        """`store`: domains that are known already; None: they are read."""
        self.layout = layout
        self.site = site
        self.actor = actor
        self.files = files
        self._store = store or file_directory(layout, site)
        self.directory: Directory = _Once(self._store)
        self.visible: Directory = self.directory if actor.site_admin else _Theirs(self.directory, actor)
        """For answers to the actor: the domains of others look like any outside domain."""
        self._definitions: list[DomainDefinition] | None = None
        self._contents: dict[str, bytes | None] = {}

    def with_edits(self, edits: tuple[FileEdit, ...]) -> View:
        """What would be on disk after these edits."""
        overlay = {**self.files.overlay, **{edit.path: edit.after for edit in edits}}
        files = Files(overlay)
        return View(self.layout, self.site, self.actor, self._store.overlaid(files), files)

    def find(self, name: str) -> Domain | None:
        """The domain of that name or domain alias. Raises Refused where it cannot be looked up."""
        try:
            return self.directory.find(name)
        except LookupFailed as failure:
            raise Refused(str(failure), f"'vmail check {name}' shows what is wrong") from failure

    def domain(self, name: str) -> Domain:
        """As `find`; raises Refused where there is none."""
        domain = self.find(name)
        if domain is None:
            raise Refused(
                f"there is no domain {name}", "'vmail domain list' shows which there are", Code.NOT_FOUND
            )
        return domain

    def domain_at(self, address: str) -> str | None:
        """The domain that a service address stands for; None: none, or more than one."""
        return self._store.domain_at(address)

    def names(self) -> list[str]:
        """Canonical names of all domains, sorted."""
        return self._store.names()

    @cached_property
    def learnt(self) -> Learnt:
        """What reverse DNS says of addresses, see store.learnt."""
        return read_learnt(self.layout) if self.site.pop3.learn_addresses else {}

    def roster(self, domain: Domain) -> Roster:
        """The accounts of a domain, to be looked through. Raises Refused."""
        try:
            return self._store.roster(domain.name)
        except LookupFailed as failure:
            raise Refused(str(failure), f"'vmail check {domain.name}' shows what is wrong") from failure

    def administered(self, principal: str) -> list[str]:
        """The domains of a co-administrator, sorted."""
        with suppress(AddressError):
            return self._store.administered(canonical_principal(principal))
        return []

    @cached_property
    def administrators(self) -> frozenset[str]:
        """Everybody who administers the site or a domain, as canonical principals."""
        listed = [*self.site.admins, *(admin for each in self.definitions() for admin in each.admins)]
        found = set()
        for principal in listed:
            with suppress(AddressError):  # one that is damaged means nobody
                found.add(canonical_principal(principal))
        return frozenset(found)

    def findings(self, name: str) -> tuple[Finding, ...]:
        """Every fault of a domain's files."""
        return self._store.findings(name)

    def password_of(self, domain: Domain, login: str) -> ShadowEntry | None:
        """The shadow entry of a login. Raises Refused."""
        try:
            return self._store.password_of(domain.name, login)
        except LookupFailed as failure:
            raise Refused(str(failure), "run it as root, or as a user who has access") from failure

    def passwords(self, domain: Domain) -> Mapping[str, ShadowEntry]:
        """The shadow entries of a domain by folded login. Raises LookupFailed."""
        return self._store.passwords(domain.name)

    def definitions(self) -> list[DomainDefinition]:
        """The definitions of all domains, but those that are damaged."""
        if self._definitions is None:
            self._definitions = list(self._read_definitions())
        return self._definitions

    def _read_definitions(self) -> Iterator[DomainDefinition]:
        for name in self.names():
            with suppress(LookupFailed):
                definition = self._store.intact(name)
                if definition is not None:
                    yield definition

    def mentioned(self, definition: DomainDefinition) -> Set[str]:
        """The names, casefolded, of domains to which one may lead."""
        return self._store.mentioned(definition)

    def text(self, path: str) -> str | None:
        """The text of a file, with what is no UTF-8 as surrogates; None: there is none. Raises Refused."""
        content = self._content(path)
        return None if content is None else text_of(content)

    def _content(self, path: str) -> bytes | None:
        """What is in a file, read once: a decision sees one state of it. Raises Refused."""
        if path not in self._contents:
            try:
                found = self.files.content(path)
            except ReadFailed as failure:
                raise Refused(str(failure), "run it as root, or as a user who has access") from failure
            self._contents[path] = None if found is None else found[0]
        return self._contents[path]

    def edit(self, path: str, text: str | None, *, instead: str = "", passwd: bool = False) -> list[FileEdit]:
        """The edit that gives a file this text, or removes it (None); none where nothing would change."""
        return self._edits(path, _encoded(text), instead=instead, passwd=passwd)

    def edit_account(self, domain: Domain, login: str, edit: Callable[[str], str]) -> list[FileEdit]:
        """The edit of a login's line in the passwd file; `edit` may be given the text of a part of it alone.

        Raises Refused, LookupFailed.
        """
        path, known = self.passwd_path(domain.name), self._store.accounts(domain.name)
        then = edited(PASSWD, self._content(path) or b"", path, known, fold(login), edit)
        return self._edits(path, then, passwd=True)

    def edit_password(
        self, domain: Domain, login: str, edit: Callable[[str], str], *, instead: str
    ) -> list[FileEdit]:
        """As `edit_account`, of the shadow file."""
        path, known = self.shadow_path(domain.name), self._store.passwords(domain.name)
        then = edited(SHADOW, self._content(path) or b"", path, known, fold(login), edit)
        return self._edits(path, then, instead=instead)

    def _edits(self, path: str, then: bytes | None, *, instead: str = "", passwd: bool = False) -> list[FileEdit]:
        now = self._content(path)
        return [] if now == then else [FileEdit(path, now, then, instead=instead, passwd=passwd)]

    # A definition's file may be spelt in another case than the domain, and its companions then are as well.

    def definition_path(self, domain: str) -> str:
        """The definition of a domain, whether or not there is one."""
        return self.layout.definition(self._stem(domain))

    def passwd_path(self, domain: str) -> str:
        """The accounts of a domain."""
        return self.layout.passwd(self._stem(domain))

    def shadow_path(self, domain: str) -> str:
        """The passwords of a domain."""
        return self.layout.shadow(self._stem(domain))

    def aliases_path(self, domain: str) -> str:
        """The implicit alias file of a domain."""
        return self.layout.aliases(self._stem(domain))

    def _stem(self, domain: str) -> str:
        return self._store.stem(domain)


class _Once:
    """A Directory in which each domain is looked up once: a decision sees one state of it, and does so fast."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._found: dict[str, Domain | LookupFailed | None] = {}

    @property
    def delimiter(self) -> str:
        return self._directory.delimiter

    def bounced_to(self, local_part: str) -> Address | None:
        return self._directory.bounced_to(local_part)

    def find(self, name: str) -> Domain | None:
        if name not in self._found:
            try:
                self._found[name] = self._directory.find(name)
            except LookupFailed as failure:
                self._found[name] = failure
        found = self._found[name]
        if isinstance(found, LookupFailed):
            raise found
        return found


class _Theirs:
    """A Directory of the domains that the actor may see."""

    def __init__(self, directory: Directory, actor: Actor) -> None:
        self._directory = directory
        self._actor = actor

    @property
    def delimiter(self) -> str:
        return self._directory.delimiter

    def bounced_to(self, local_part: str) -> Address | None:
        return self._directory.bounced_to(local_part)

    def find(self, name: str) -> Domain | None:
        try:
            domain = self._directory.find(name)
        except LookupFailed:
            return None
        return domain if domain and allowed(self._actor, Action.SEE, domain.definition) else None


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")
