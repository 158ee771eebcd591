"""vpop3d - POP3 server of virtual mail domains, for inetd

SYNOPSIS

vpop3d [NATIVE-DAEMON [ARG]...]

DESCRIPTION

Serves one POP3 connection on standard input, as inetd(8) starts it. The address that the client connected to
settles the domain, before a byte is read: a bare login is enough there. A connection to any other address is
handed, unread, to NATIVE-DAEMON, which serves the main domain of the host; without one it is served too, and
the login has to name its domain (bob@example.org).

The classic line of inetd.conf(5):

pop-3 stream tcp nowait root /usr/sbin/tcpd /usr/sbin/vpop3d /usr/sbin/ipop3d

A busy host is served better by "vmail serve", which listens itself and needs no process for a connection.

EXIT STATUS

0 when the session ended, 64 when standard input is not a connection, 70 for a fault of this program, 78 for a
damaged vmail.toml.

DIAGNOSTICS

Go to syslog(3), facility mail, with a line for each session: inetd makes standard error a part of the connection.

FILES

/etc/vmail/domains/DOMAIN.toml, /etc/vmail/passwd.DOMAIN, /etc/vmail/shadow.DOMAIN, /var/spool/vmail/DOMAIN/LOGIN

SEE ALSO

vmail(1), vdeliver(8), vmail.toml(5), inetd(8), tcpd(8)
"""  # noqa: D400, D405, D407, D412, D415  the form of a manual page

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress

import uvloop

from vmaild.delivery.system_log import system_log
from vmaild.outcome import EX_CONFIG, EX_OK, EX_USAGE
from vmaild.servers.arrival import local_host
from vmaild.servers.pop3d import Pop3Session
from vmaild.servers.worker import Shared, pop3_service
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import layout
from vmaild.store.learnt import read_learnt
from vmaild.store.rights import give_up_root
from vmaild.store.site import SiteUnusable, load_site


def main() -> int:
    """The command."""
    native = sys.argv[1:]
    if native and native[0] in {"-h", "--help"}:
        print(__doc__)
        return EX_OK
    try:
        connection = socket.socket(fileno=os.dup(0))
        here = local_host(connection.getsockname())
    except OSError:
        print("vpop3d: standard input is not a connection; inetd(8) starts this program", file=sys.stderr)
        return EX_USAGE
    log = system_log("vpop3d")
    where = layout()
    try:
        site, _ = load_site(where)
    except SiteUnusable as error:
        log.error("%s", error)
        _let_go(connection)
        print(f"vpop3d: {error}", file=sys.stderr)
        with suppress(OSError):
            connection.sendall(b"-ERR [SYS/TEMP] this server is not set up, try again later\r\n")
        return EX_CONFIG
    # Nothing is looked up for a connection: what a running or earlier server has learnt counts.
    learnt = read_learnt(where) if site.pop3.learn_addresses else {}
    directory = FileDirectory(where, site.recipient_delimiter, srs=site.delivery.srs, learnt=learnt)
    if native and directory.domain_at(here) is None:
        # The daemon finds the connection on its standard streams, as inetd would have given it.
        os.execv(native[0], [os.path.basename(native[0]), *native[1:]])
    _let_go(connection)
    try:
        give_up_root(site.user)
        service = pop3_service(where, site, directory, Shared.create(1), 0)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_session(Pop3Session(service), connection))
    except Exception:
        log.exception("session failed")
        return os.EX_SOFTWARE
    return EX_OK


def _let_go(connection: socket.socket) -> None:
    """Take the connection from the standard streams: only the protocol writes there, and closing it ends it."""
    nowhere, ours = os.open(os.devnull, os.O_RDWR), os.fstat(connection.fileno())
    for stream in (0, 1, 2):
        with suppress(OSError):  # not open
            if os.path.samestat(os.fstat(stream), ours):
                os.dup2(nowhere, stream)


async def _session(session: Pop3Session, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    service = session.service
    await loop.connect_accepted_socket(lambda: session, connection)
    while service.sessions:
        await asyncio.sleep(0.05)
        service.log_out_the_silent()
