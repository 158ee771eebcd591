"""The settings of Exim as Debian configures it, split into conf.d or as one template.

Two routers: the first asks our socketmap about the recipient, with an expansion that every build of Exim has; what
it refuses is refused when a recipient is verified, and "could not look" defers. The second hands over by LMTP. Our
domains are in a plain file, which `dc_relay_domains` names and Exim reads at each look-up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from vmaild.generate.mta import Conflict, Piece, Wired, Wiring, own_file, with_block, without_block

USER = "Debian-exim"
"""The user, and group, whom Exim runs as."""

_MACROS = """\
VMAIL_DOMAINS = {domains}
# Known or refused, whoever asks: else clients that may relay could send to unknown recipients, and bounces follow.
.ifndef MAIN_ACL_CHECK_RCPT
MAIN_ACL_CHECK_RCPT = acl_vmail_check_rcpt
.endif
"""
_ACL = """\
acl_vmail_check_rcpt:
  deny
    domains = !+local_domains : VMAIL_DOMAINS
    !verify = recipient
    message = ${if def:acl_verify_message{$acl_verify_message}{550 5.1.1 No such user here}}
  require
    acl = acl_check_rcpt
  accept
"""
_ROUTERS = """\
vmail_recipient:
  debug_print = "R: vmail_recipient for $local_part@$domain"
  driver = redirect
  domains = !+local_domains : VMAIL_DOMAINS
  caseful_local_part
  allow_fail
  allow_defer
  data = ${if match{${readsocket{{socketmap}}\\
         {${strlen:recipients ${quote_local_part:$local_part}@$domain}:recipients \\
         ${quote_local_part:$local_part}@$domain,}{10s}{}{}}}{\\N^\\d+:(OK|NOTFOUND) \\N}\\
         {${if eq{$1}{OK}{}{:fail: 550 5.1.1 No such user here}}}\\
         {:defer: 451 4.3.0 Could not look up the recipient, try again later}}

vmail:
  debug_print = "R: vmail for $local_part@$domain"
  driver = accept
  domains = !+local_domains : VMAIL_DOMAINS
  caseful_local_part
  transport = vmail_lmtp
"""
_TRANSPORT = """\
vmail_lmtp:
  debug_print = "T: vmail_lmtp for $local_part@$domain"
  driver = lmtp
  socket = {lmtp}
  user = {user}
  batch_max = 100
  timeout = 10m
"""
_RELAYED = re.compile(r"^dc_relay_domains=(['\"]?)([^'\"\n]*)\1", re.MULTILINE)
_TEMPLATE = "exim4.conf.template"
_SETTINGS = "update-exim4.conf.conf"


def exim_pieces(wiring: Wiring) -> tuple[Piece, ...]:
    """What has to stand where, in the split configuration."""
    folder = f"{wiring.folder}/conf.d"
    macros, acl, routers, transport = _parts(wiring)
    return (
        Piece(f"{folder}/main/000_vmail", own_file(macros)),
        Piece(f"{folder}/acl/50_vmail", own_file(acl)),
        Piece(f"{folder}/router/050_vmail", own_file(routers)),
        Piece(f"{folder}/transport/50_vmail", own_file(transport)),
        Piece(f"{wiring.folder}/{_SETTINGS}", f"dc_relay_domains='{wiring.domains}'\n", "instead of that line"),
    )


def wired_exim(wiring: Wiring, files: Mapping[str, str | None], domains: Collection[str]) -> Wired:
    """The files as they are to be, from those that are there. Raises Conflict."""
    path = f"{wiring.folder}/{_SETTINGS}"
    settings = files.get(path)
    if settings is None:
        raise Conflict(
            f"{path} does not exist",
            "name the folder with --config-dir; where Exim is not set up as Debian does, put in by hand what "
            "'vmail mta show exim' prints",
        )
    relayed = _RELAYED.search(settings)
    if relayed is None:
        raise Conflict(f"{path} does not set dc_relay_domains", "run 'dpkg-reconfigure exim4-config' first")
    listed = [item for item in re.split(r"\s*[:;]\s*", relayed[2].strip()) if item]
    if wiring.domains not in listed:
        line = f"dc_relay_domains='{' ; '.join([*listed, wiring.domains])}'"
        settings = settings[: relayed.start()] + line + settings[relayed.end() :]
    wired = {path: settings} | {piece.path: piece.text for piece in exim_pieces(wiring)[:-1]}
    template = files.get(f"{wiring.folder}/{_TEMPLATE}")
    if template is not None:
        wired[f"{wiring.folder}/{_TEMPLATE}"] = _with_parts(template, wiring)
    here = re.search(r"^dc_other_hostnames=['\"]?([^'\"\n]*)", settings, re.MULTILINE)
    both = sorted(set(re.split(r"[\s:;]+", here[1].lower() if here else "")) & set(domains))
    warnings = [f"{path}: dc_other_hostnames names {', '.join(both)}: take it out there"] if both else []
    return Wired(wired, ("update-exim4.conf", "systemctl reload exim4"), tuple(warnings))


def _parts(wiring: Wiring) -> tuple[str, str, str, str]:
    """Macros, ACL, routers, transport."""
    return (
        _MACROS.replace("{domains}", wiring.domains),
        _ACL,
        # Braces of our own names only: an expansion is full of others.
        _ROUTERS.replace("{socketmap}", wiring.socketmap),
        _TRANSPORT.format(lmtp=wiring.lmtp, user=wiring.user or USER),
    )


def _with_parts(template: str, wiring: Wiring) -> str:
    """The template with a block in each of its sections."""
    template = without_block(template)
    macros, acl, routers, transport = _parts(wiring)
    for body, after in ((acl, "begin acl"), (routers, "begin routers"), (transport, "begin transports")):
        template = _with_one(template, body, after)
    return with_block("", macros) + template


def _with_one(template: str, body: str, after: str) -> str:
    anchor = re.search(rf"^{after}[ \t]*\n", template, re.MULTILINE)
    if anchor is None:
        raise Conflict(f"{_TEMPLATE} has no line '{after}'", "put in by hand what 'vmail mta show exim' prints")
    return template[: anchor.end()] + with_block("", body) + template[anchor.end() :]
