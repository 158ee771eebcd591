"""The file of ours that puts service addresses up when this machine starts: which it is, and what to write.

Whichever the machine's network is set up with: netplan, else systemd-networkd where it has a file for the
interface, else ifupdown. A file of ours that another one has taken the place of is removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vmaild.admin.plan import FileEdit
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.addresses import Host, Placed
from vmaild.core.site import NetworkFile
from vmaild.generate.addresses import (
    NETPLAN_FILE,
    ifupdown_text,
    is_ours,
    netplan_key,
    netplan_text,
    networkd_text,
)

_NETPLAN = "/etc/netplan"
_IFUPDOWN = "/etc/network/interfaces"
_NETWORKD = "/etc/systemd/network"
_OURS = "vmaild"
_SOURCED = re.compile(r"^[ \t]*source(-directory)?[ \t]+(/etc/network/)?interfaces\.d\b", re.MULTILINE)
_NETWORK_FILE = re.compile(r"^NETWORK_FILE=(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BootFile:
    """What puts addresses up when the machine starts."""

    kind: NetworkFile
    path: str
    warning: str = ""


def boot_file(view: View, host: Host) -> BootFile | None:
    """Which file it is, by the settings or by what is on this machine; None: no known one. Raises Refused."""
    settings = view.site.addresses
    if not settings.interface or settings.file is NetworkFile.NONE:
        return None
    chosen = settings.file
    if chosen is NetworkFile.NETPLAN or (chosen is NetworkFile.AUTO and _netplan_texts(view)):
        return BootFile(NetworkFile.NETPLAN, view.layout.path(f"{_NETPLAN}/{NETPLAN_FILE}.yaml"))
    network = _networkd_file(view, host) if chosen in (NetworkFile.NETWORKD, NetworkFile.AUTO) else ""
    if network:
        path = view.layout.path(f"{_NETWORKD}/{os.path.basename(network)}.d/{_OURS}.conf")
        return BootFile(NetworkFile.NETWORKD, path)
    if chosen is NetworkFile.NETWORKD:
        raise Refused(
            f"systemd-networkd has no file for {settings.interface}",
            f"write {_NETWORKD}/50-{settings.interface}.network, and run 'networkctl reload'",
        )
    return _ifupdown_file(view, chosen)


def boot_edits(view: View, host: Host, kept: Sequence[Placed]) -> tuple[list[FileEdit], list[str]]:
    """The edits that have just these addresses put up, and warnings. Raises Refused."""
    file = boot_file(view, host)
    warnings = []
    if file is None and kept and view.site.addresses.file is not NetworkFile.NONE:
        warnings.append(
            "cannot tell what sets this machine's network up (netplan, systemd-networkd, ifupdown), so the "
            "addresses are gone after a reboot: run 'vmail address apply' when it starts"
        )
    texts: dict[str, str | None] = dict.fromkeys(_ours_everywhere(view))
    if file is not None:
        now = view.text(file.path)
        if now is not None and not is_ours(now):
            raise Refused(
                f"{file.path} is not vmaild's", "move it aside, or set file in [addresses] of vmail.toml"
            )
        texts[file.path] = _text(view, file.kind, kept) if kept else None
        warnings += [file.warning] if file.warning and kept else []
    mode = 0o600 if file and file.kind is NetworkFile.NETPLAN else 0o644
    edits = [edit for path, text in texts.items() for edit in view.edit(path, text)]
    return [replace(edit, mode=mode) for edit in edits], warnings


def _text(view: View, kind: NetworkFile, kept: Sequence[Placed]) -> str:
    settings = view.site.addresses
    match kind:
        case NetworkFile.NETWORKD:
            # It is a drop-in of one interface.
            here = [each for each in kept if each.interface == settings.interface]
            return networkd_text(here, duplicate_detection=settings.duplicate_detection)
        case NetworkFile.IFUPDOWN:
            return ifupdown_text(kept, duplicate_detection=settings.duplicate_detection)
        case _:
            texts = _netplan_texts(view)
            interfaces = {each.interface for each in kept}
            keys = {each: netplan_key(texts, each) or ("ethernets", each) for each in interfaces}
            return netplan_text(kept, keys)


def _networkd_file(view: View, host: Host) -> str:
    """The file that systemd-networkd has set the interface up by; empty: it has none, or does not run."""
    index = host.interfaces.get(view.site.addresses.interface, 0)
    found = _NETWORK_FILE.search(view.text(view.layout.path(f"/run/systemd/netif/links/{index}")) or "")
    return found[1] if found else ""


def _ifupdown_file(view: View, chosen: NetworkFile) -> BootFile | None:
    path = view.layout.path(_IFUPDOWN)
    text = view.text(path)
    if chosen is not NetworkFile.IFUPDOWN and not text:
        return None
    warning = (
        "" if _SOURCED.search(text or "") else f"add 'source {_IFUPDOWN}.d/*' to {path}, which does not read it"
    )
    return BootFile(NetworkFile.IFUPDOWN, f"{path}.d/{_OURS}", warning)


def _netplan_texts(view: View) -> list[str]:
    """What others have written for netplan."""
    folder = view.layout.path(_NETPLAN)
    stems = view.files.names(folder, ".yaml")
    return [view.text(f"{folder}/{stem}.yaml") or "" for stem in stems if stem != NETPLAN_FILE]


def _ours_everywhere(view: View) -> Iterator[str]:
    """Every file of ours, whichever was in use when it was written."""
    path = view.layout.path
    candidates = [path(f"{_NETPLAN}/{NETPLAN_FILE}.yaml"), path(f"{_IFUPDOWN}.d/{_OURS}")]
    folder = path(_NETWORKD)
    candidates += [f"{folder}/{name}/{_OURS}.conf" for name in view.files.names(folder, ".network.d").values()]
    yield from (each for each in candidates if is_ours(view.text(each) or ""))
