"""vmail.toml, the settings of the site: every table and every key may be absent.

The same policy as for the definition of a domain: a wrong value of a known key refuses the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from vmaild.core.findings import Finding
from vmaild.core.site import (
    AddressSettings,
    AuthSettings,
    DeliverySettings,
    DnsSettings,
    ForwardingSettings,
    Listen,
    LmtpSettings,
    MapsSettings,
    MetricsSettings,
    NetworkFile,
    OverQuota,
    Pop3Settings,
    Relay,
    RelayKind,
    Site,
    SmtpSettings,
    VacationSettings,
    WebSettings,
)
from vmaild.formats import toml
from vmaild.formats.domain import (
    or_empty,
    parse_absolute_path,
    parse_delimiter,
    parse_domain_name,
    parse_language,
    parse_principal,
    parse_service_address,
)
from vmaild.formats.parsed import FormatError, quoted

MAX_SOCKET_PATH = 107
"""Bytes of a socket's path (unix(7))."""

_PORT = re.compile(r"[0-9]{1,5}")
_RELAY = re.compile(r"(smtp|smtp\+starttls|lmtp)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_RELAY_PATH = re.compile(r"(lmtp):unix:(/.+)|(sendmail):(/.+)")


def parse_site(text: str, path: str) -> tuple[Site | None, tuple[Finding, ...]]:
    """The settings, from a text that was decoded as UTF-8 with surrogateescape.

    None where they must not be trusted; then at least one finding is an error.
    """
    reading = toml.Reading(text, path)
    tables = reading.load()
    site: dict[str, Any] = {}
    for name, values in tables.items():
        homes = [f"[{table}]" for table, keys in _TABLES.items() if name in keys]
        if name not in _TABLES and homes:
            reading.warn(
                reading.line_of(name), f"{name} stands outside of its table", f"put it below {' or '.join(homes)}"
            )
        elif name not in _TABLES:
            reading.unknown(name, _TABLES)
        elif not isinstance(values, Mapping):
            reading.refuse(reading.line_of(name), f"{name} is not a table", f"write [{name}] on a line of its own")
        elif name == "site":
            site |= reading.table(values, _TABLES[name], name)
        else:
            site[name] = _SETTINGS[name](**reading.table(values, _TABLES[name], name))
    return Site(**site) if reading.trusted else None, tuple(reading.findings)


def with_site_setting(text: str, table: str, key: str, value: object) -> str:
    """Set one key, whose comments, neighbours and order stay as they are.

    Raises ValueError where the text is not TOML.
    """
    import tomlkit  # noqa: PLC0415  only for edits

    document = tomlkit.parse(text)
    if table not in document:
        document.add(table, tomlkit.table())
    section = document[table]
    assert isinstance(section, MutableMapping)
    section[key] = value
    return tomlkit.dumps(document)


def parse_listen(text: str) -> Listen:
    """Where to listen: `127.0.0.1:110`, `*:110`, `[::1]:110` or `unix:/path`. Raises FormatError."""
    if text.startswith("unix:"):
        path = parse_absolute_path(text.removeprefix("unix:"))
        if len(path.encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH:
            raise FormatError(f"{quoted(text)} is too long for a socket", f"keep to {MAX_SOCKET_PATH} bytes")
        return Listen(path=path)
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host:
        raise FormatError(f"{quoted(text)} is not an address and a port", _FORMS)
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise FormatError(
            f"{quoted(port)} in {quoted(text)} is not a port", "write a number up to 65535 after the last ':'"
        )
    return Listen(_host(host, text), int(port))


def parse_network(text: str) -> str:
    """An address, or a network as `192.0.2.0/24`, in one spelling. Raises FormatError."""
    import ipaddress  # noqa: PLC0415  as in _host

    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError as error:
        if "host bits" in str(error):
            remedy = f"write {ipaddress.ip_network(text.strip(), strict=False)}, or the address alone"
            raise FormatError(f"{quoted(text)} is an address with the length of a network", remedy) from None
        raise FormatError(
            f"{quoted(text)} is neither an IP address nor a network", "write it like 192.0.2.1 or 192.0.2.0/24"
        ) from None
    if network.num_addresses > 1:
        return str(network)
    # Where both IPv4 and IPv6 are served, this is how an IPv4 address may look.
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None
    return str(mapped or network.network_address)


def _name_server(text: str) -> str:
    """An address, with a port or without. Raises FormatError."""
    import ipaddress  # noqa: PLC0415  as in _host

    try:
        return str(Listen(str(ipaddress.ip_address(text)), 53))
    except ValueError:
        return str(parse_listen(text))


def parse_pool(text: str) -> str:
    """Addresses to choose from: `192.0.2.0/28`, `192.0.2.7` or `192.0.2.10-192.0.2.20`. Raises FormatError."""
    import ipaddress  # noqa: PLC0415  as in _host

    first, dash, last = text.partition("-")
    if not dash:
        return parse_network(text)
    try:
        start, end = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
    except ValueError:
        raise FormatError(
            f"{quoted(text)} is no range of addresses", "write it like 192.0.2.10-192.0.2.20"
        ) from None
    if start.version != end.version or int(start) > int(end):
        raise FormatError(f"{quoted(text)} does not lead from a first to a last address", "swap or correct them")
    return f"{start}-{end}"


def _host(host: str, text: str) -> str:
    import ipaddress  # noqa: PLC0415  most deliveries have no need of vmail.toml

    if host == "*":
        return host
    in_brackets = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if in_brackets else host)
    except ValueError:
        raise FormatError(f"{quoted(host)} in {quoted(text)} is not an IP address", _FORMS) from None
    if in_brackets != (address.version == 6):
        raise FormatError(
            f"{quoted(text)} is ambiguous", "write brackets around an IPv6 address, and around no other"
        )
    return str(address)


def _user(name: str) -> str:
    if name and not _is_name(name):
        raise FormatError(
            f"{quoted(name)} cannot be a user's login", "write one of the machine's own, such as vmail"
        )
    return name


def _group(name: str) -> str:
    if name and not _is_name(name):
        raise FormatError(f"{quoted(name)} cannot be a group", "write one of the machine's own, such as postfix")
    return name


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[^\s:/@-][^\s:/@]*", name) is not None and name.isprintable()


def _relay(text: str) -> Relay:
    """`smtp://HOST:PORT`, also `smtp+starttls` and `lmtp`; `lmtp:unix:/PATH`, `sendmail:/PATH`; empty: none."""
    if not text:
        return Relay(RelayKind.NONE)
    by_path = _RELAY_PATH.fullmatch(text)
    if by_path is not None:
        kind, path = (by_path[1], by_path[2]) if by_path[1] else (by_path[3], by_path[4])
        return Relay(RelayKind(kind), path=parse_absolute_path(path))
    found = _RELAY.fullmatch(text)
    port = int(found[3] or (24 if found[1] == "lmtp" else 25)) if found else 0
    if found is None or not 0 < port <= 65535:
        raise FormatError(
            f"{quoted(text)} is not a mail server",
            "write it like smtp://127.0.0.1:25, lmtp:unix:/PATH or sendmail:/usr/sbin/sendmail",
        )
    return Relay(RelayKind(found[1]), found[2].strip("[]"), port)


def _interface(name: str) -> str:
    # What dev_valid_name() of Linux takes, and nothing that a file of ours would have to escape.
    if name and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}", name):
        raise FormatError(f"{quoted(name)} cannot be a network interface", "write one that 'ip link' shows: eth0")
    return name


def _network_file(text: str) -> NetworkFile:
    try:
        return NetworkFile(text)
    except ValueError:
        remedy = f"write one of {', '.join(NetworkFile)}"
        raise FormatError(f"{quoted(text)} says nothing about files of the network", remedy) from None


def _domain_or_below(text: str) -> str:
    return ("." if text.startswith(".") else "") + parse_domain_name(text.removeprefix("."))


def _over_quota(text: str) -> OverQuota:
    try:
        return OverQuota(text)
    except ValueError:
        raise FormatError(f"{quoted(text)} is no answer", 'write "reject" or "defer"') from None


def _txt(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise FormatError(f"{quoted(text)} cannot stand in a TXT record", "write it in ASCII, on one line")
    return text


def _key_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text):
        raise FormatError(f"{quoted(text)} cannot be the name of a key", "write it as the key's file has it")
    return text.lower().removesuffix(".")


def _report_place(text: str) -> str:
    if text and not re.fullmatch(r"(mailto:[^@\s,;!]+@[^@\s,;!]+|https://[^\s,;!]+)", _txt(text)):
        raise FormatError(
            f"{quoted(text)} is no place for reports", "write mailto:postmaster@example.org, or an https address"
        )
    return text


def _policy_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{0,32}", text):
        raise FormatError(f"{quoted(text)} is no id of a policy", "write up to 32 letters and digits")
    return text


def _word(text: str) -> str:
    if "\0" in text or not text:
        raise FormatError(f"{quoted(text)} cannot be part of a command line", "remove it")
    return text


_FORMS = "write ADDRESS:PORT like 127.0.0.1:110 or [::1]:110, *:110 for every address, or unix:/path"
_LISTEN = toml.texts(parse_listen, "127.0.0.1:110")
_TABLES: dict[str, dict[str, toml.Key]] = {
    "site": {
        "admins": toml.texts(parse_principal, "unix:root"),
        "user": toml.text(_user),
        "mta_group": toml.text(_group),
        "recipient_delimiter": toml.text(parse_delimiter),
        "demo": toml.flag(),
    },
    "pop3": {
        "listen": _LISTEN,
        "tls_listen": _LISTEN,
        "workers": toml.number(1),
        "native": toml.texts(_word, "/usr/sbin/ipop3d", unique=False),
        "certificate": toml.text(or_empty(parse_absolute_path)),
        "shared_addresses": toml.texts(parse_service_address, "192.0.2.1"),
        "proxies": toml.texts(parse_network, "192.0.2.1"),
        "max_connections_per_address": toml.number(0),
        "login_delay": toml.number(0),
        "learn_addresses": toml.flag(),
    },
    "lmtp": {"listen": _LISTEN, "workers": toml.number(1)},
    "maps": {"listen": _LISTEN},
    "smtp": {"listen": _LISTEN, "allow_remote": toml.flag()},
    "web": {
        "listen": _LISTEN,
        "certificate": toml.text(or_empty(parse_absolute_path)),
        "proxies": toml.texts(parse_network, "192.0.2.1"),
        "pam_service": toml.text(_user),
        "require_second_factor": toml.flag(),
    },
    "delivery": {
        "relay": toml.text(_relay),
        "max_size": toml.size(),
        "over_quota": toml.text(_over_quota),
        "srs": toml.flag(),
        "command_time": toml.number(1),
        "quota_warning": toml.number(0),
        "language": toml.text(parse_language),
        "filter_time": toml.number(1),
        "message_time": toml.number(1),
    },
    "forwarding": {
        "allowed": toml.flag(),
        "max_targets": toml.number(1),
        "domains": toml.texts(_domain_or_below, "example.org"),
    },
    "vacation": {"allowed": toml.flag(), "days": toml.number(1)},
    "auth": {
        "cache": toml.flag(),
        "free_failures": toml.number(0),
        "max_delay": toml.number(0),
        "max_failures_per_address": toml.number(1),
        "max_failures_per_account": toml.number(1),
        "half_life": toml.number(1),
        "trusted": toml.texts(parse_network, "192.0.2.1"),
    },
    "metrics": {"listen": _LISTEN},
    "dns": {
        "ttl": toml.number(0),
        "primary": toml.text(or_empty(parse_domain_name)),
        "name_servers": toml.texts(parse_domain_name, "ns1.example.org"),
        "spf": toml.text(_txt),
        "dmarc": toml.text(_txt),
        "caa": toml.text(or_empty(parse_domain_name)),
        "mta_sts": toml.text(_policy_id),
        "tlsrpt": toml.text(_report_place),
        "tlsa": toml.flag(),
        "autoconfig": toml.flag(),
        "submission": toml.number(0),
        "resolver": toml.text(or_empty(_name_server)),
        "named_conf": toml.text(parse_absolute_path),
        "reload": toml.flag(),
        "update_server": toml.text(or_empty(_name_server)),
        "update_key": toml.text(or_empty(parse_absolute_path)),
        "update_key_name": toml.text(or_empty(_key_name)),
    },
    "addresses": {
        "interface": toml.text(_interface),
        "pool": toml.texts(parse_pool, "192.0.2.0/28"),
        "prefix_length": toml.number(1, 32),
        "prefix_length_6": toml.number(1, 128),
        "duplicate_detection": toml.flag(),
        "file": toml.text(_network_file),
    },
}
_SETTINGS: dict[str, Callable[..., object]] = {
    "pop3": Pop3Settings,
    "lmtp": LmtpSettings,
    "maps": MapsSettings,
    "smtp": SmtpSettings,
    "web": WebSettings,
    "delivery": DeliverySettings,
    "forwarding": ForwardingSettings,
    "vacation": VacationSettings,
    "auth": AuthSettings,
    "metrics": MetricsSettings,
    "dns": DnsSettings,
    "addresses": AddressSettings,
}
