"""The settings of Postfix: three parameters of main.cf and one service of master.cf.

The lookups go through proxymap(8), and delivery through a service of our own, because Debian runs smtpd(8) and
lmtp(8) in a chroot(2), from where our sockets are not to be seen. The main domain stays what mydestination says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from vmaild.generate.mta import Conflict, Maps, Piece, Wired, Wiring, with_block, without_block

GROUP = "postfix"
"""The group of the user whom Postfix's daemons run as."""
SERVICE = "vmail"
"""The transport of master.cf."""

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(.*)", re.DOTALL)
_LISTS = ("mydestination", "relay_domains", "virtual_alias_domains")
"""Where a domain must not stand that is a virtual mailbox domain (ADDRESS_CLASS_README)."""


def postfix_settings(wiring: Wiring) -> dict[str, str]:
    """The parameters of main.cf."""
    if wiring.maps is Maps.SOCKETMAP:
        domains = f"proxy:socketmap:unix:{wiring.socketmap}:domains"
        recipients = f"proxy:socketmap:unix:{wiring.socketmap}:recipients"
    else:
        # No proxy: for these files, as tables are opened before smtpd(8) enters its chroot.
        domains = f"{wiring.maps}:{wiring.tables}/postfix-domains"
        recipients = f"{wiring.maps}:{wiring.tables}/postfix-recipients"
    return {
        "virtual_mailbox_domains": domains,
        "virtual_mailbox_maps": recipients,
        "virtual_transport": f"{SERVICE}:unix:{wiring.lmtp}",
    }


def postfix_pieces(wiring: Wiring) -> tuple[Piece, ...]:
    """What has to stand where."""
    return (
        Piece(f"{wiring.folder}/main.cf", _main(wiring), "at the end"),
        Piece(f"{wiring.folder}/master.cf", _MASTER, "at the end"),
    )


def wired_postfix(wiring: Wiring, files: Mapping[str, str | None], domains: Collection[str]) -> Wired:
    """The files as they are to be, from those that are there; `domains` are ours, domain aliases included.

    Raises Conflict.
    """
    main, master = (piece.path for piece in postfix_pieces(wiring))
    text, services = files.get(main), files.get(master)
    if text is None or services is None:
        missing = main if text is None else master
        raise Conflict(f"{missing} does not exist", "install Postfix, or name its folder with --config-dir")
    others = parameters(without_block(text))
    _check_free(main, others, postfix_settings(wiring))
    if re.search(rf"^{SERVICE}\s+unix\s", without_block(services), re.MULTILINE):
        raise Conflict(f"{master} has a service {SERVICE} already", "give that one another name")
    return Wired(
        {main: with_block(text, _main(wiring)), master: with_block(services, _MASTER)},
        ("postfix check", "postfix reload"),
        tuple(_warnings(main, others, wiring, domains)),
    )


def parameters(text: str) -> dict[str, str]:
    """The parameters that a main.cf sets, unexpanded; of several assignments the last counts (postconf(5))."""
    found: dict[str, str] = {}
    for logical in re.sub(r"\n[ \t]+", " ", _without_comments(text)).split("\n"):
        assignment = _ASSIGNMENT.match(logical)
        if assignment is not None:
            found[assignment[1]] = assignment[2].strip()
    return found


def expanded(value: str, settings: Mapping[str, str]) -> set[str]:
    """The words of a list with `$name` resolved, as far as main.cf tells."""
    for _ in range(5):
        value = re.sub(r"\$[{(]?(\w+)[)}]?", lambda name: settings.get(name[1], ""), value)
    return {word.lower() for word in re.split(r"[\s,]+", value) if word}


def _main(wiring: Wiring) -> str:
    return "".join(f"{name} = {value}\n" for name, value in postfix_settings(wiring).items())


_MASTER = f"{SERVICE}     unix  -       -       n       -       -       lmtp\n"


def _without_comments(text: str) -> str:
    return re.sub(r"^[ \t]*#[^\n]*\n?", "", text, flags=re.MULTILINE)


def _check_free(path: str, others: Mapping[str, str], ours: Mapping[str, str]) -> None:
    for name in ours:
        value = others.get(name, "")
        if value and not (name == "virtual_transport" and value == "virtual"):
            raise Conflict(
                f"{path} sets {name} = {value} for other virtual domains",
                f"move those domains here and remove that line, or put together by hand what "
                f"'vmail mta show postfix' prints and {value}",
            )


def _warnings(path: str, others: Mapping[str, str], wiring: Wiring, domains: Collection[str]) -> list[str]:
    found = []
    for name in _LISTS:
        listed = expanded(others.get(name, ""), others)
        both = sorted(listed & set(domains))
        if both:
            found.append(f"{path}: {name} names {', '.join(both)}: Postfix will not ask vmaild; take it out there")
    readable = others.get("proxy_read_maps")
    if wiring.maps is Maps.SOCKETMAP and readable is not None and "$virtual_mailbox_maps" not in readable:
        found.append(
            f"{path}: proxy_read_maps hides our maps: add $virtual_mailbox_maps and $virtual_mailbox_domains"
        )
    if wiring.maps is not Maps.SOCKETMAP and not others.get("recipient_delimiter"):
        found.append(
            f"{path}: recipient_delimiter is not set, and files cannot know every sub-address: "
            "Postfix will refuse bob+lists@, unless you set recipient_delimiter = +"
        )
    return found
