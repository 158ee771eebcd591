"""Second factors on disk: `/etc/vmail/second-factor/PRINCIPAL`, mode 0600, next to the passwords and as secret.

They are configuration, not state: the folder belongs to the site's administrator, so the user whom the web runs as
can neither read nor remove them. Each file is JSON; removing it switches the factor off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote

from vmaild.core.permissions import UNIX, canonical_principal
from vmaild.core.second_factor import Factor
from vmaild.store.atomic import make_folders, remove_durably, write_atomically
from vmaild.store.layout import Layout
from vmaild.store.locks import LockTimeout, exclusive
from vmaild.store.state import StateUnusable

_LOCK_TIME = 10.0


class Factors:
    """The second factors of a layout. Every call may raise StateUnusable: who cannot be asked is not let in."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def find(self, principal: str) -> Factor | None:
        """The factor of a principal; None: there is none."""
        path = self.path(principal)
        try:
            with open(path, encoding="utf-8") as file:
                values = json.load(file)
            recovery = tuple(map(str, values["recovery"]))
            return Factor(str(values["secret"]), int(values["used"]), recovery)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnusable(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateUnusable(f"{path} is damaged: remove it, which switches that second factor off") from error

    def save(self, principal: str, factor: Factor) -> None:
        """Keep a factor."""
        values = {"secret": factor.secret, "used": factor.used, "recovery": list(factor.recovery)}
        path = self.path(principal)
        try:
            make_folders(os.path.dirname(path), 0o700)
            write_atomically(path, json.dumps(values, indent=1).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise StateUnusable(f"{path}: {error.strerror}") from error

    def remove(self, principal: str) -> bool:
        """Forget a factor, also a damaged one; whether there was one."""
        path = self.path(principal)
        try:
            remove_durably(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateUnusable(f"{path}: {error.strerror}") from error
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes a factor meanwhile: of two who show the same code, one is let in."""
        try:
            make_folders(self._layout.run, 0o755)
            with exclusive(self._layout.lock("second-factor"), _LOCK_TIME):
                yield
        except LockTimeout as timeout:
            raise StateUnusable(str(timeout)) from timeout

    def of_domain(self, domain: str) -> list[str]:
        """The principals of a domain that have a factor, sorted; none where the folder cannot be read."""
        try:
            names = os.listdir(self._layout.second_factors)
        except OSError:
            return []
        principals = sorted(map(unquote, names))
        return [each for each in principals if each.endswith(f"@{domain}") and not each.startswith(UNIX)]

    def path(self, principal: str) -> str:
        """Where the factor of a principal is kept, whether or not there is one."""
        # The web knows people as their passwd file spells them: Dora and dora must be one and the same here.
        return f"{self._layout.second_factors}/{quote(canonical_principal(principal), safe='@:+=')}"
