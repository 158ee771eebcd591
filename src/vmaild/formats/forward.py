r"""`forward` in the home of an account: where its owner wants the mail to go, in the form of `.forward`.

    # away until spring
    bob@example.org, bob.martin@example.com
    \bob

Addresses, one a line or several with commas; the account's own name, with or without the backslash or the
domain, keeps a copy. It is the owner's file, so commands, files and lists do not work in it: such a line is
passed over, and if nothing else is left the mail stays where it is.
"""

from __future__ import annotations

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core.directory import Forward, Source
from vmaild.core.findings import Finding
from vmaild.formats.aliases import parse_include
from vmaild.formats.parsed import FormatError, quoted

FILE_NAME = "forward"


def parse_forward(text: str, path: str, own: Address) -> tuple[Forward | None, tuple[Finding, ...]]:
    """What the file of the account `own` says; None: nothing of use, mail stays."""
    written, findings = parse_include(text, path)
    targets: list[Address] = []
    faults = list(findings)
    keep_copy = False
    for target, source in written.targets if written else ():
        try:
            address = _address(target, own)
        except FormatError as error:
            faults.append(error.at(source.path, source.line))
            continue
        if (address.key, address.domain) == (own.key, own.domain):
            keep_copy = True
        elif address not in targets:
            targets.append(address)
    return Forward(tuple(targets), keep_copy, Source(path)) if targets else None, tuple(faults)


def render_forward(forward: Forward, own: Address) -> str:
    """The file that parse_forward reads as the same."""
    lines = [str(address) for address in forward.targets]
    if forward.keep_copy:
        lines.append(f"\\{Address(own.local_part)}")
    return "".join(f"{line}\n" for line in lines)


def parse_forward_target(text: str, domain: str) -> Address:
    """An address that somebody forwards to; a bare name is one of the same domain. Raises FormatError."""
    try:
        address = parse_address(text.strip())
    except AddressError:
        raise FormatError(f"{quoted(text)} is not a mail address", "write it like bob@example.org") from None
    return address if address.domain else Address(address.local_part, domain)


def _address(target: str, own: Address) -> Address:
    if target.startswith(("|", "/", ":")):
        raise FormatError(
            f"the target {quoted(target)} is no address", "commands, files and lists stand in alias files only"
        )
    if target.startswith("\\") and fold(target[1:].partition("@")[0]) != own.key:
        raise FormatError(f"the target {quoted(target)} is another's account", "write the address")
    return parse_forward_target(target.removeprefix("\\"), own.domain)
