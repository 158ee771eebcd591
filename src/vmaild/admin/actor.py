"""Who runs a command: the user of this machine behind the process."""

from __future__ import annotations

import os
import pwd

from vmaild.core.permissions import UNIX, Actor, same_principal
from vmaild.core.site import Site
from vmaild.store.layout import Layout


def unix_actor(layout: Layout, site: Site) -> Actor:
    """The real user of this process.

    Root is a site administrator, and so are those whom vmail.toml names and the owner of the configuration
    folder, who can write every file in it anyway.
    """
    uid = os.getuid()
    principal = UNIX + user_name(uid)
    admin = uid == 0 or _owner(layout.configuration) == uid
    admin = admin or any(same_principal(principal, listed) for listed in site.admins)
    # Only root's word is taken for it: anybody else can set this variable.
    caller = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    via = f"sudo: {caller}" if caller and caller != "root" and caller.isprintable() else ""
    return Actor(principal, admin, via)


def user_name(uid: int) -> str:
    """The login of a user of this machine, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
