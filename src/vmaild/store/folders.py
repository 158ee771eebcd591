"""Maildir++ folders of a mailbox, for sub-addresses: `.lists` beside `new` and `cur`.

Source: "Maildir++", Courier's README.maildirquota, and Dovecot's layout of the same name: a folder is a maildir
whose name begins with a dot; further dots part its levels, so a sub-address must not contain any.
"""

from __future__ import annotations

import base64
import os
import re

from vmaild.address import fold
from vmaild.store.atomic import NEW_FILE, fsync_folder, inherit_owner, make_folders

MAX_FOLDERS = 200
"""Folders of a mailbox beyond which sub-addresses make no more: anybody can make up sub-addresses."""
MAX_NAME = 60
"""Characters."""
_LONGEST = 200
"""Octets of a name on disk, which has 255 at most with its dot: an emoji takes five."""
_MARK = "maildirfolder"
"""The empty file that says that a maildir is a folder of another."""
_RESERVED = {"inbox", "trash"}
"""Trash does not count for the quota, so nobody may deliver there."""
_UNFIT = re.compile(r"[./\\~*%\x00-\x20\x7f-\x9f]+")


def folder_for(path: str, detail: str, *, create: bool) -> str:
    """The maildir for a sub-address of the mailbox at `path`: its folder, or the inbox. Raises OSError."""
    name = folder_name(detail)
    if not name:
        return path
    folder = f"{path}/.{name}"
    if os.path.isdir(f"{folder}/new"):
        return folder
    try:
        folders = [entry for entry in os.listdir(path) if entry[:1] == "."]
    except FileNotFoundError:
        if not create:
            return path
        raise  # the mailbox itself comes first
    # Local parts are written in any case, names of folders by their owner.
    for entry in folders:
        if fold(entry[1:]) == name and os.path.isdir(f"{path}/{entry}/new"):
            return f"{path}/{entry}"
    if not create or len(folders) >= MAX_FOLDERS:
        return path
    create_folder(folder)
    return folder


def folder_name(detail: str) -> str:
    """The name of the folder for a sub-address, folded, without its dot; empty: the inbox.

    What parts folders or leads out of them becomes an underscore; the rest is spelt in the modified UTF-7 of
    IMAP (RFC 3501 5.1.3), as Dovecot and Courier name folders on disk.
    """
    name = _UNFIT.sub("_", fold(detail)).strip("_")[:MAX_NAME]
    while len(spelt := _modified_utf7(name)) > _LONGEST:
        name = name[:-1]
    return "" if name in _RESERVED else spelt


def create_folder(folder: str) -> None:
    """Make a folder, durably; `tmp` comes last, as in maildir.create_maildir. Raises OSError."""
    make_folders(f"{folder}/cur", 0o700)
    make_folders(f"{folder}/new", 0o700)
    try:
        fd = os.open(f"{folder}/{_MARK}", NEW_FILE, 0o600)
    except FileExistsError:
        pass
    else:
        inherit_owner(fd, folder)
        os.close(fd)
    fsync_folder(folder)
    make_folders(f"{folder}/tmp", 0o700)  # noqa: S108  its own


def _modified_utf7(name: str) -> str:
    def encoded(found: re.Match[str]) -> str:
        text = base64.b64encode(found[0].encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
        return f"&{text.decode()}-"

    return re.sub(r"[^\x20-\x7e]+", encoded, name.replace("&", "&-"))
