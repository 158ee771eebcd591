"""The definition of one domain, `domains/DOMAIN.toml`: every key may be absent.

What a definition says decides where mail goes, so a wrong value of a known key refuses the whole file; a key
that is not known, which may be a newer version's, does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vmaild.address import Address, AddressError, canonical_domain, parse_address
from vmaild.core.directory import (
    DomainDefinition,
    Fallback,
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    NoFallback,
    Source,
)
from vmaild.core.findings import Finding
from vmaild.core.permissions import Right, split_rights
from vmaild.formats import toml
from vmaild.formats.parsed import FormatError, is_utf8, quoted
from vmaild.formats.size import parse_size, render_size

if TYPE_CHECKING:
    from tomlkit.items import Array

__all__ = [
    "LANGUAGES",
    "MAX_ALIAS_FILES",
    "or_empty",
    "parse_absolute_path",
    "parse_definition",
    "parse_delimiter",
    "parse_domain_name",
    "parse_fallback",
    "parse_filter",
    "parse_language",
    "parse_principal",
    "parse_rights",
    "parse_service_address",
    "parse_size",
    "render_definition",
    "render_fallback",
    "render_size",
    "settings_of",
    "with_settings",
]

LANGUAGES = ("en", "fr")
"""Of what is written to users."""
MAX_ALIAS_FILES = 2
"""Extra alias files of one domain."""

_FORMS = 'write "user@other.example", "@other.example", an account or alias, "|command", or "" to reject'


def parse_definition(text: str, name: str, path: str) -> tuple[DomainDefinition | None, tuple[Finding, ...]]:
    """The definition of the domain `name`, whose text was decoded as UTF-8 with surrogateescape.

    None where it must not be trusted; then at least one finding is an error.
    """
    reading = toml.Reading(text, path)
    try:
        name = parse_domain_name(name)
    except FormatError as error:
        reading.refuse(0, f"the file's name: {error.problem}", "name it after the domain: DOMAIN.toml")
        return None, tuple(reading.findings)
    values = reading.table(reading.load(), _KEYS)
    if len(values.get("alias_files", ())) > MAX_ALIAS_FILES:
        reading.refuse(
            reading.line_of("alias_files"),
            f"alias_files names {len(values['alias_files'])} files",
            f"keep {MAX_ALIAS_FILES} at most; the implicit one is always searched first",
        )
    if not reading.trusted:
        return None, tuple(reading.findings)
    if name in values.get("aliases", ()):
        reading.warn(
            reading.line_of("aliases"), f"aliases names the domain itself, {quoted(name)}", "remove it there"
        )
        values["aliases"] = tuple(alias for alias in values["aliases"] if alias != name)
    definition = DomainDefinition(name=name, source=Source(path), **values)
    fallback = definition.fallback
    if isinstance(fallback, FallbackToDomain) and fallback.domain in {name, *definition.aliases}:
        reading.warn(
            reading.line_of("fallback"),
            f"fallback {quoted(render_fallback(fallback))} leads back to this domain, so it finds nobody",
            'name another domain, or write "" to reject',
        )
    return definition, tuple(reading.findings)


def parse_fallback(text: str) -> Fallback:
    """The fallback of a text: nothing, `user@other`, `@other`, `account` or `|command`. Raises FormatError."""
    text = text.strip()
    if not text:
        return NoFallback()
    if not text.isprintable():
        raise FormatError(
            f"{quoted(text)} {_unprintable(text)}", "remove it; in double quotes, a backslash is written twice"
        )
    if text.startswith("|"):
        if not text[1:].strip():
            raise FormatError("there is no command after '|'", "write the path of a program after it")
        return FallbackToCommand(text[1:].strip())
    if text.startswith("@"):
        return FallbackToDomain(parse_domain_name(text[1:]))
    if text.startswith("/") or ("," in text and '"' not in text):
        problem = "is a file" if text.startswith("/") else "is a list"
        raise FormatError(
            f"{quoted(text)} {problem}, which a fallback cannot be",
            "make an alias for it, and name the alias here",
        )
    try:
        address = parse_address(text)
    except AddressError:
        raise FormatError(f"{quoted(text)} is not a destination", _FORMS) from None
    if not address.domain and address.local_part.startswith(("|", "/")):
        raise FormatError(f"{quoted(text)} is no name", _FORMS)
    return FallbackToAddress(address) if address.domain else FallbackToName(address.local_part)


def render_fallback(fallback: Fallback) -> str:
    """The text that parse_fallback turns into the same fallback."""
    match fallback:
        case NoFallback():
            return ""
        case FallbackToAddress(Address(local_part, domain) as address):
            return f'"{local_part}"@{domain}' if str(address).startswith(("|", "/")) else str(address)
        case FallbackToDomain(domain):
            return f"@{domain}"
        case FallbackToName(name):
            return str(Address(name))
        case FallbackToCommand(command):
            return f"|{command}"


def parse_domain_name(text: str) -> str:
    """A domain name in its canonical spelling; an address literal is none. Raises FormatError."""
    try:
        name = canonical_domain(text.strip())
    except AddressError:
        name = ""
    if not name or name.startswith("["):
        raise FormatError(f"{quoted(text)} is not a domain name", "write it like va.example.org")
    return name


def parse_service_address(text: str) -> str:
    """An IP address of this machine as DomainDefinition has it. Raises FormatError."""
    import ipaddress  # noqa: PLC0415  most deliveries find a definition in memory

    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        remedy = "write the address alone, like 172.16.0.1"
        raise FormatError(f"{quoted(text)} is not an IP address", remedy) from None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if address.is_unspecified or address.is_multicast:
        raise FormatError(
            f"{quoted(text)} is not the address of one machine", "write one that the domain has to itself"
        )
    return str(address)


def parse_principal(text: str) -> str:
    """Somebody who may administer: `unix:alice` or `bob@va.toto.fr`. Raises FormatError."""
    if re.fullmatch(r"unix:[^\s:/@]+", text) and text.isprintable():
        return text
    try:
        address = parse_address(text) if text.isprintable() and not text.startswith("unix:") else Address("")
    except AddressError:
        address = Address("")
    if not address.domain:
        raise FormatError(f"{quoted(text)} does not name an administrator", 'write "unix:LOGIN" or "login@domain"')
    return str(address)


def parse_rights(text: str) -> str:
    """What a co-administrator is limited to, `unix:alice: aliases mail`. Raises FormatError."""
    try:
        whose, rights = split_rights(text)
    except ValueError as error:
        remedy = f"write PRINCIPAL: and some of {', '.join(Right)}, like 'unix:alice: aliases mail'"
        raise FormatError(f"{quoted(text)}: {error}", remedy) from None
    return f"{parse_principal(whose)}: {' '.join(right for right in Right if right in rights)}"


def parse_absolute_path(text: str) -> str:
    """A path from the root on. Raises FormatError."""
    if not text.startswith("/") or "\0" in text or "\n" in text:
        raise FormatError(f"{quoted(text)} is not an absolute path", "write the whole path, from '/' on")
    return text


def parse_delimiter(text: str) -> str:
    """What parts a login from its sub-address. Raises FormatError."""
    if text and (len(text) > 1 or text.isalnum() or text in '"@.\\' or text.isspace() or not text.isprintable()):
        raise FormatError(f"{quoted(text)} cannot separate login and detail", 'write one sign such as "+", or ""')
    return text


def parse_language(text: str) -> str:
    """A language that letters to users are written in. Raises FormatError."""
    if text not in LANGUAGES:
        raise FormatError(f"{quoted(text)} is no language that is spoken here", 'write "en" or "fr"')
    return text


def parse_filter(text: str) -> str:
    """The command line of a filter program, by its absolute path. Raises FormatError."""
    text = text.strip()
    if text and (not text.startswith("/") or not text.isprintable() or text.count('"') % 2 or text.count("'") % 2):
        raise FormatError(
            f"{quoted(text)} is no command line", "write the program's whole path, and its arguments if it has any"
        )
    return text


def settings_of(definition: DomainDefinition) -> dict[str, object]:
    """The keys of a definition that differ from what an empty file says, as they stand in the file."""
    empty = DomainDefinition(definition.name)
    return {
        key: _written(getattr(definition, key)) for key in _KEYS if getattr(definition, key) != getattr(empty, key)
    } | {key: render_size(getattr(definition, key)) for key in _SIZES if getattr(definition, key)}


def render_definition(definition: DomainDefinition) -> str:
    """A new file that says what the definition does."""
    return with_settings("", settings_of(definition))


def with_settings(text: str, settings: Mapping[str, object | None]) -> str:
    """Set keys, or remove those whose value is None; comments, order and the spelling of the rest stay.

    Values are as settings_of gives them: str, int, bool, or a sequence of str. Raises ValueError where the
    text is not TOML.
    """
    # Only for edits: it takes longer to load than all the rest.
    import tomlkit  # noqa: PLC0415
    from tomlkit.items import Array  # noqa: PLC0415

    document = tomlkit.parse(text)
    before = document.unwrap()
    for key, value in settings.items():
        wanted = list(value) if isinstance(value, list | tuple) else value
        present = before.get(key)
        if wanted is None:
            document.pop(key, None)
        elif present != wanted or type(present) is not type(wanted):
            item = document.get(key)
            if isinstance(item, Array) and isinstance(wanted, list):
                document[key] = _changed(item, wanted)
            else:
                document[key] = wanted
    return tomlkit.dumps(document)


def _changed(array: Array, wanted: list[object]) -> Array | list[object]:
    """Bring a list to other values one by one, for the comments in it; where the order differs, a new list."""
    for value in [value for value in array.unwrap() if value not in wanted]:
        array.remove(value)
    array.extend([value for value in wanted if value not in array])
    return array if array.unwrap() == wanted else wanted


def _written(value: object) -> object:
    match value:
        case NoFallback() | FallbackToAddress() | FallbackToDomain() | FallbackToName() | FallbackToCommand():
            return render_fallback(value)
        case tuple():
            return list(value)
        case _:
            return value


def _unprintable(text: str) -> str:
    return "contains a control or invisible character" if is_utf8(text) else "is not UTF-8"


def or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    """A parser that leaves an empty text empty."""
    return lambda text: parse(text) if text.strip() else ""


_SIZES = ("quota", "max_message_size")
_KEYS: dict[str, toml.Key] = {
    "mail_host": toml.text(or_empty(parse_domain_name)),
    "addresses": toml.texts(parse_service_address, "172.16.0.1"),
    "aliases": toml.texts(parse_domain_name, "va.example.org"),
    "fallback": toml.text(parse_fallback),
    "alias_files": toml.texts(parse_absolute_path, "/etc/vmail/aliases.extra"),
    "quota": toml.size(),
    "quota_messages": toml.number(0),
    "max_message_size": toml.size(),
    "filter": toml.text(parse_filter),
    "recipient_delimiter": toml.text(parse_delimiter),
    "language": toml.text(or_empty(parse_language)),
    "max_users": toml.number(0),
    "match_full_name": toml.flag(),
    "admins": toml.texts(parse_principal, "unix:alice"),
    "rights": toml.texts(parse_rights, "unix:alice: aliases"),
    "disabled": toml.flag(),
    "certificate": toml.text(or_empty(parse_absolute_path)),
    "dkim_selector": toml.text(or_empty(parse_domain_name)),
    "dkim_key": toml.text(or_empty(parse_absolute_path)),
    "plain_logins": toml.flag(),
}
