"""TLS: the certificate of each domain, chosen by the name that the client asks for (SNI, RFC 6066 section 3).

A certificate is one PEM file with key and chain. It is read when it is first needed and again when it has
changed, so that whoever renews it has nobody to tell. Raised versions and ciphers are the system's own.
"""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from vmaild.core.directory import LookupFailed
from vmaild.servers.secured import Secured, server_context
from vmaild.store.directory import DirectoryStore
from vmaild.store.files import Files, Fingerprint, ReadFailed
from vmaild.store.layout import Layout

log = logging.getLogger("vmaild.tls")

_OFFERED_FOR = 1.0
"""Seconds in which it is not looked again whether there is a certificate; never where it is to be used."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A context and the file it was made from, as it was then."""

    state: Fingerprint
    context: ssl.SSLContext


class Certificates:
    """The TLS contexts of one process. For one thread."""

    def __init__(self, directory: DirectoryStore, layout: Layout, default: str = "") -> None:
        """`default` is the site's own certificate, for domains without one; empty: they have no TLS."""
        self._directory = directory
        self._layout = layout
        self._default = default
        self._files = Files()
        self._loaded: dict[str, _Loaded] = {}
        self._offered: dict[str | None, tuple[float, bool]] = {}
        """By domain, and until when it may be believed."""
        self._written: WeakKeyDictionary[ssl.SSLContext, str] = WeakKeyDictionary()
        """The path of the file that each was made from."""

    def context(self, domain: str | None) -> ssl.SSLContext | None:
        """The context for a connection to `domain` (canonical; None: not known before the client names it).

        None: there is no certificate that can be used. A client that names another domain still gets that
        domain's certificate.
        """
        path = self._certificate(domain) if domain else self._default
        return self._load(path) or (self._load(self._default) if path != self._default else None)

    def offered(self, domain: str | None) -> bool:
        """Whether there is such a context, or was a second ago: every greeting asks, and few clients begin TLS."""
        now = time.monotonic()
        until, offered = self._offered.get(domain, (0.0, False))
        if now >= until:
            offered = self.context(domain) is not None
            self._offered[domain] = (now + _OFFERED_FOR, offered)
        return offered

    def _certificate(self, domain: str) -> str:
        try:
            found = self._directory.find(domain)
        except LookupFailed as failure:
            log.error("no certificate of %s: %s", domain, failure)
            return self._default
        return found.definition.certificate if found and found.definition.certificate else self._default

    def _load(self, written: str) -> ssl.SSLContext | None:
        """The context of a certificate file; with a file that went bad, the last good one."""
        if not written:
            return None
        path = self._layout.path(written)
        loaded = self._loaded.get(path)
        try:
            state = self._files.fingerprint(path)
            if loaded is not None and (state is None or loaded.state == state):
                return loaded.context
            if state is None:
                raise FileNotFoundError(2, "no such file")
            context = server_context(path)
        except (OSError, ReadFailed) as error:
            # ssl.SSLError is an OSError; its text names neither key nor path.
            log.error("certificate %s cannot be used: %s", path, error)
            return loaded.context if loaded else None
        context.sni_callback = self._choose
        self._written[context] = written
        self._loaded[path] = _Loaded(state, context)
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, before: ssl.SSLContext) -> None:
        """Called in the middle of a handshake: take the certificate of the domain that the client names."""
        domain = self._directory.domain_named(name) if name else None
        if domain is None:
            # A server that keeps one context for all connections must not outlive its certificate.
            context = self._load(self._written.get(before, ""))
        else:
            if isinstance(connection, Secured):
                connection.domain = domain
            context = self.context(domain)
        if context is not None:
            connection.context = context
