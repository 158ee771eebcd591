"""What the owners of accounts have set up in their homes: `forward` and `vacation`.

Most accounts have no home until something is put there, so a look-up of one costs a single access(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from vmaild.address import Address
from vmaild.core.directory import Account, Domain, LookupFailed
from vmaild.core.findings import Finding
from vmaild.core.forwarding import forwarding_problem
from vmaild.core.site import ForwardingSettings
from vmaild.formats import forward, vacation
from vmaild.store.files import Files, ReadFailed
from vmaild.store.layout import Layout

MAX_FILE = 65536
"""Bytes of a file in a home that are read."""


class Homes:
    """The homes of one domain."""

    def __init__(self, layout: Layout, domain: str, files: Files, settings: ForwardingSettings) -> None:
        self._folder = os.path.dirname(layout.home(domain, "login"))
        self._domain = domain
        self._files = files
        self._settings = settings

    def completed(self, account: Account) -> Account:
        """The account with what its owner has set up. Raises LookupFailed."""
        home = f"{self._folder}/{account.login}"
        # access(2) tells without an exception, which would take longer than all the rest of a look-up.
        if not self._files.overlay and not os.access(home, os.F_OK):
            return account
        try:
            replies = self._files.fingerprint(f"{home}/{vacation.FILE_NAME}") is not None
            forwards = self._files.read_of_others(f"{home}/{forward.FILE_NAME}", MAX_FILE)
        except ReadFailed as failure:
            raise LookupFailed(str(failure)) from failure
        where = None
        if forwards is not None:
            own = Address(account.login, self._domain)
            where, _ = forward.parse_forward(forwards[0], f"{home}/{forward.FILE_NAME}", own)
            if where is not None and forwarding_problem(where.targets, self._settings):
                where = None
        return account._replace(autoreply=replies, forward=where)

    def findings(self, domain: Domain) -> Iterator[Finding]:
        """What is wrong with those files. Raises LookupFailed."""
        try:
            logins = sorted(os.listdir(self._folder))
        except OSError:
            return
        for login in logins:
            account = domain.accounts.get(login.lower())
            if account is not None:
                yield from self._findings(account)

    def _findings(self, account: Account) -> Iterator[Finding]:
        path = f"{self._folder}/{account.login}"
        own = Address(account.login, self._domain)
        try:
            forwards = self._files.read_of_others(f"{path}/{forward.FILE_NAME}", MAX_FILE)
            replies = self._files.read_of_others(f"{path}/{vacation.FILE_NAME}", MAX_FILE)
        except ReadFailed as failure:
            raise LookupFailed(str(failure)) from failure
        if forwards is not None:
            where, findings = forward.parse_forward(forwards[0], f"{path}/{forward.FILE_NAME}", own)
            yield from findings
            problem = forwarding_problem(where.targets, self._settings) if where else None
            if problem is not None:
                yield Finding(
                    f"{path}/{forward.FILE_NAME}",
                    0,
                    f"{problem[0]}, so mail for {own} stays here",
                    f"{problem[1]}: 'vmail user forward {own} ...'",
                )
        if replies is not None:
            yield from vacation.parse_vacation(replies[0], f"{path}/{vacation.FILE_NAME}")[1]
