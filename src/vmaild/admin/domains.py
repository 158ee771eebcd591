"""Domains: a definition, and the passwd, shadow and alias files that go with it.

A domain goes into service with its definition, which is therefore written last and taken away first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

from vmaild.address import parse_address
from vmaild.admin.addresses import AUTO, allocated, check_not_main
from vmaild.admin.definitions import domain_itself, edited_definition
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.execute import archive_stamp
from vmaild.admin.leftovers import factor_of, fresh_path, of_domain
from vmaild.admin.lint import fallback_fault
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import FileEdit, Mail, Plan, Step
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.admin.view import View
from vmaild.core.directory import DomainDefinition, LookupFailed
from vmaild.core.permissions import UNIX, Action, allowed
from vmaild.formats.domain import (
    MAX_ALIAS_FILES,
    parse_absolute_path,
    parse_delimiter,
    parse_domain_name,
    parse_fallback,
    parse_filter,
    parse_language,
    parse_service_address,
    parse_size,
    render_fallback,
    render_size,
)

_LONGEST_NAME = 230
"""Characters: file names have 255 (NAME_MAX of Linux), and those made from it have a prefix or a time in them."""


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A domain as people ask for it."""

    name: str
    definition: DomainDefinition | None
    users: int = 0
    alias_count: int = 0
    """Entries of its alias files that are in force."""
    fallback: str = ""
    """As it is written."""
    problem: str = ""
    """Why there is no definition to show."""


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """What `add_domain` and `set_domain` write, as given; None: stays, empty: goes back to the default."""

    mail_host: str | None = None
    addresses: Sequence[str] | None = None
    aliases: Sequence[str] | None = None
    fallback: str | None = None
    alias_files: Sequence[str] | None = None
    quota: str | None = None
    max_users: int | None = None
    match_full_name: bool | None = None
    certificate: str | None = None
    disabled: bool | None = None
    plain_logins: bool | None = None
    quota_messages: int | None = None
    max_message_size: str | None = None
    filter: str | None = None
    recipient_delimiter: str | None = None
    """Empty: there are no sub-addresses; `default`: as the site has it."""
    language: str | None = None


# -- questions


def list_domains(door: Door) -> list[DomainRecord]:
    """All domains that the actor may see, sorted by name, the damaged ones included. Raises Refused."""
    return domain_records(door, door.view().names())


def names_of_domains(door: Door) -> list[str]:
    """The names of all domains that the actor may see, sorted; cheaper than list_domains by all that it counts."""
    view = door.view()
    return view.names() if door.actor.site_admin else view.administered(door.actor.principal)


def domain_records(door: Door, names: Iterable[str]) -> list[DomainRecord]:
    """These of them, as list_domains has them."""
    view = door.view()
    return [record for record in map(partial(_record_seen, door, view), names) if record is not None]


def chosen(door: Door, name: str | None) -> list[str]:
    """One domain by name; or all that the actor may see and that can be read, by their canonical names.

    Raises Refused.
    """
    if name is not None:
        return [parse_domain(name)]
    return [record.name for record in list_domains(door) if record.definition is not None]


def show_domain(door: Door, domain_name: str) -> DomainRecord:
    """One domain, by its name or a domain alias. Raises Refused."""
    view, domain = door.see(domain_name)
    return _record(view, domain.name)


def _record_seen(door: Door, view: View, name: str) -> DomainRecord | None:
    """A domain, unless the actor may not see it or it has just gone."""
    try:
        domain = view.directory.find(name)
    except LookupFailed as failure:
        return DomainRecord(name, None, problem=str(failure)) if door.actor.site_admin else None
    if domain is None or not allowed(door.actor, Action.SEE, domain.definition):
        return None
    return _record(view, name)


def _record(view: View, name: str) -> DomainRecord:
    domain = view.domain(name)
    aliases = {key for alias_file in domain.alias_files for key in alias_file.entries}
    definition = domain.definition
    return DomainRecord(name, definition, len(domain.accounts), len(aliases), render_fallback(definition.fallback))


# -- changes


def add_domain(door: Door, name: str, settings: DomainSettings, *, dry_run: bool = False) -> Plan:
    """Put a new domain into service; files of that name are kept and used. Raises Refused."""
    if not door.actor.site_admin:  # be there a domain of that name or not
        problem = f"{door.actor.principal} may not {Action.DEFINITION.value} {name}"
        raise Refused(problem, "ask a site administrator", Code.NOT_PERMITTED)

    def draft(view: View) -> Draft:
        definition = view.definition_path(name)
        if view.text(definition) is not None:
            raise Refused(
                f"domain {name} exists already ({definition})", "change it with 'vmail domain set'", Code.EXISTS
            )
        if len(name) > _LONGEST_NAME:
            raise Misused(f"{name} is too long to name files after it", "choose a shorter name")
        chosen = _with_addresses(view, name, settings)
        check_free(view, name, chosen, new=True)
        steps: list[Step] = []
        warnings = []
        for path in (view.aliases_path(name), view.shadow_path(name), view.passwd_path(name)):
            if view.text(path) is None:
                steps.append(FileEdit(path, None, b""))
            else:
                warnings.append(f"{path} is there already and comes into force")
        steps += edited_definition(view, name, _values(chosen)) or [FileEdit(definition, None, b"")]
        return Draft(f"add domain {name}", steps, warnings, partial(new_faults, name))

    return door.change(Change("domain add", name, name, Action.DEFINITION, draft, names=True), dry_run=dry_run)


def set_domain(door: Door, name: str, settings: DomainSettings, *, dry_run: bool = False) -> Plan:
    """Change the definition of a domain. Raises Refused."""
    if all(getattr(settings, field.name) is None for field in fields(settings)):
        raise Misused("nothing to change is given", "'vmail domain set --help' lists the options")

    def draft(view: View) -> Draft:
        domain_itself(view, name)
        chosen = _with_addresses(view, name, settings)
        check_free(view, name, chosen)
        edits = edited_definition(view, name, _values(chosen))
        return Draft(f"change domain {name}", edits, inspect=partial(new_faults, name))

    return door.change(Change("domain set", name, name, Action.DEFINITION, draft, names=True), dry_run=dry_run)


def remove_domain(door: Door, name: str, mail: Mail = Mail.ARCHIVE, *, dry_run: bool = False) -> Plan:
    """Take a domain out of service. Its files are archived with its mail, or deleted with it. Raises Refused.

    What an earlier attempt left behind is cleared away as well.
    """

    def draft(view: View) -> Draft:
        definition = view.definition_path(name)
        files = [definition, view.aliases_path(name), view.passwd_path(name), view.shadow_path(name)]
        there = [path for path in files if view.text(path) is not None]
        if not there:
            domain_itself(view, name)  # says best what that name is
        archive = fresh_path(f"{view.layout.configuration}/.archive/{name}.{archive_stamp()}")
        edits = [_away(view, path, "" if mail is Mail.DELETE else archive) for path in there]
        live, rest = edits[: definition in there], edits[definition in there :]
        steps: list[Step] = [*live, *of_domain(view, name, mail), *rest, *factor_of(view, name)]
        copy = f"{view.layout.last_good}/{name}.toml"
        if view.text(copy) is not None:
            steps.append(_away(view, copy, ""))
        return Draft(f"remove domain {name}", steps, list(_left_behind(view, name)))

    return door.change(Change("domain remove", name, name, Action.DEFINITION, draft, names=True), dry_run=dry_run)


# -- parts


def _values(settings: DomainSettings) -> dict[str, object | None]:
    """The keys of the definition that are given, as it has them. Raises FormatError."""
    if settings.max_users is not None and settings.max_users < 0:
        raise Misused(
            f"{settings.max_users} is no number of accounts", "give 0 for no limit, or a number above it"
        )
    if settings.quota_messages is not None and settings.quota_messages < 0:
        raise Misused(
            f"{settings.quota_messages} is no number of messages", "give 0 for no limit, or a number above it"
        )
    files = settings.alias_files
    if files is not None and len([path for path in files if path]) > MAX_ALIAS_FILES:
        raise Misused(f"{len(files)} alias files are given", f"give {MAX_ALIAS_FILES} at most")
    values: dict[str, object | None] = {
        "mail_host": settings.mail_host and parse_domain_name(settings.mail_host),
        "addresses": _each(settings.addresses, parse_service_address),
        "aliases": _each(settings.aliases, parse_domain_name),
        "fallback": settings.fallback and render_fallback(parse_fallback(settings.fallback)),
        "alias_files": _each(files, parse_absolute_path),
        "quota": settings.quota and _size(settings.quota),
        "max_users": settings.max_users,
        "match_full_name": settings.match_full_name,
        "certificate": settings.certificate and parse_absolute_path(settings.certificate),
        "disabled": settings.disabled,
        "plain_logins": settings.plain_logins,
        "quota_messages": settings.quota_messages,
        "max_message_size": settings.max_message_size and _size(settings.max_message_size),
        "filter": settings.filter and parse_filter(settings.filter),
        "language": settings.language and parse_language(settings.language),
    }
    # What is as an empty definition has it needs no line.
    given = {key: value or None for key, value in values.items() if getattr(settings, key) is not None}
    delimiter = settings.recipient_delimiter
    if delimiter is not None:
        given["recipient_delimiter"] = None if delimiter == "default" else parse_delimiter(delimiter)
    return given


def _with_addresses(view: View, name: str, settings: DomainSettings) -> DomainSettings:
    """The settings with an address from the pool where one is asked for. Raises Refused."""
    given = settings.addresses
    if given is None or AUTO not in given:
        return settings
    chosen = [address for text in given for address in (allocated(view, name) if text == AUTO else [text])]
    return replace(settings, addresses=chosen)


def _each(texts: Sequence[str] | None, parse: Callable[[str], str]) -> list[str] | None:
    return None if texts is None else list(dict.fromkeys(parse(text) for text in texts if text.strip()))


def _size(text: str) -> str:
    size = 0 if text.strip().lower() == "none" else parse_size(text)
    return render_size(size) if size else ""


def check_free(view: View, name: str, settings: DomainSettings, *, new: bool = False) -> None:
    """Names and addresses belong to one domain each. Raises Refused."""
    aliases = _each(settings.aliases, parse_domain_name) or []
    addresses = _each(settings.addresses, parse_service_address) or []
    if name in aliases:
        raise Misused(f"{name} cannot be an alias of itself", "leave it out")
    for taken in set(aliases).intersection(view.names()):
        raise Refused(f"{taken} is a domain of its own", f"remove that first: 'vmail domain remove {taken}'")
    for address in addresses:
        check_not_main(view, address)
    for other in view.definitions():
        if other.name == name:
            continue
        for alias in (name, *aliases) if new else aliases:
            if alias in other.aliases:
                raise Refused(
                    f"{alias} is a domain alias of {other.name}",
                    f"take it from there first: 'vmail domain set {other.name} --alias ...'",
                )
        for address in addresses:
            if address in other.addresses:
                raise Refused(
                    f"service address {address} is that of {other.name}",
                    f"choose another, or take it from there first: 'vmail domain set {other.name} --address ...'",
                )


def new_faults(name: str, after: View) -> Iterator[str]:
    """What would be wrong with the domain afterwards."""
    domain = after.domain(name)
    for path in map(after.layout.path, domain.definition.alias_files):
        if after.text(path) is None:
            yield f"alias file {path} does not exist yet"
    fault = fallback_fault(after.visible, domain)
    if fault is not None:
        yield f"{fault.problem}; {fault.remedy}"


def _away(view: View, path: str, archive: str) -> FileEdit:
    """Take a file from its place, into the archive folder where there is one."""
    before = (view.text(path) or "").encode("utf-8", "surrogateescape")
    return FileEdit(
        path, before, None, instead="removed", moved_to=f"{archive}/{os.path.basename(path)}" if archive else ""
    )


def _left_behind(view: View, name: str) -> Iterator[str]:
    """What of the domain stays elsewhere."""
    for definition in view.definitions():
        if definition.name == name:
            for path in definition.alias_files:
                yield f"alias file {view.layout.path(path)} stays where it is"
            continue
        for admin in definition.admins:
            if not admin.startswith(UNIX) and parse_address(admin).domain == name:
                yield (
                    f"{admin} is still named as a co-administrator of {definition.name}: "
                    f"'vmail admin revoke {admin} {definition.name}'"
                )
