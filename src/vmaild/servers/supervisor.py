"""The supervisor: binds every listener, keeps the workers alive, reloads and drains.

SIGHUP reads vmail.toml again: new workers with the new settings, then the old ones drain. SIGTERM and SIGINT
drain and end; a second one ends at once. A worker that dies is replaced; the listening sockets are the
supervisor's, so connections that wait in them are not lost. A socket that systemd passes (sd_listen_fds(3)) is
used instead of binding where its address is that of a setting. Domains, accounts and aliases need no reload.
"""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vmaild.core.site import DRAIN_TIME, LIVE_VIEW, Listen, Site
from vmaild.servers import passthrough, worker
from vmaild.servers.learning import learn
from vmaild.servers.listeners import Address, BindError, address_of, admit, bind, passed_sockets, taken_over
from vmaild.servers.worker import Door, Post, Role, ServeError, Shared, Speech
from vmaild.store.atomic import make_folders
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.locks import LockTimeout, exclusive
from vmaild.store.rights import hand_over
from vmaild.store.site import SiteUnusable, load_site

log = logging.getLogger("vmaild.supervisor")

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_MAX_PAUSE = 10.0
"""Seconds between attempts to start a worker that dies at once."""
_READY_TIME = 30.0
MAX_WORKERS = 64
"""At the same time, those of a generation that drains included."""


_OF_THE_MTA = (Speech.LMTP, Speech.SOCKETMAP)
"""What the MTA's user has to reach."""
_OF_ANYBODY = (Speech.METRICS, Speech.LIVE_VIEW)


@dataclass(slots=True)
class _Worker:
    """A running worker; `role` and `number` say whose place it has."""

    role: Role
    number: int
    generation: int
    started: float
    row: int
    deaths: int = 0
    """Of workers in this place that died right after their start, one after the other."""


@dataclass(slots=True)
class _Vacancy:
    role: Role
    number: int
    due: float
    deaths: int


@dataclass(slots=True)
class Supervisor:
    """The servers of one root."""

    layout: Layout
    site: Site
    directory: FileDirectory
    listeners: dict[tuple[Speech, Listen], list[socket.socket]] = field(default_factory=dict)
    workers: dict[int, _Worker] = field(default_factory=dict)
    vacancies: list[_Vacancy] = field(default_factory=list)
    generation: int = 0
    lifeline: tuple[int, int] = (-1, -1)
    """A pipe whose writing end only the supervisor has: its end tells workers that they are alone."""
    lock: int = -1
    """The descriptor that holds this root's lock."""
    shared: Shared = field(default_factory=lambda: Shared.create(MAX_WORKERS))
    native: tuple[socket.socket, socket.socket] | None = None
    """Between workers and the process that starts the host's own POP3 daemon: their end, its end."""
    passed: dict[Address, socket.socket] = field(default_factory=dict)
    """Listening sockets of whoever started us; `listeners` has copies of those that settings ask for."""
    rows: list[int] = field(default_factory=lambda: list(range(MAX_WORKERS)))
    """Of the shared memory, those that no worker has."""

    def bind(self, site: Site) -> None:
        """Listen where `site` says, keeping what is bound already. Raises BindError and then changes nothing."""
        wanted = {
            (speech, listen)
            for speech, places in (
                (Speech.POP3, site.pop3.listen),
                (Speech.POP3S, site.pop3.tls_listen),
                (Speech.LMTP, site.lmtp.listen),
                (Speech.SOCKETMAP, site.maps.listen),
                (Speech.SMTP, site.smtp.listen),
                (Speech.WEB, site.web.listen),
                (Speech.METRICS, site.metrics.listen),
                (Speech.LIVE_VIEW, (LIVE_VIEW,)),
            )
            for listen in places
        }
        fresh: dict[tuple[Speech, Listen], list[socket.socket]] = {}
        for listen in site.smtp.listen:
            if not (site.smtp.allow_remote or _is_loopback(listen)):
                raise BindError(
                    f"cannot listen on {listen}: SMTP here is for trying out, on loopback only; "
                    "listen on 127.0.0.1, or set smtp.allow_remote = true"
                )
        try:
            for key in sorted(wanted - self.listeners.keys(), key=str):
                path = self.layout.path(key[1].path)
                fresh[key] = taken_over(key[1], path, self.passed) or bind(key[1], path)
            for speech, listen in wanted:
                path = self.layout.path(listen.path)
                if listen.path and speech in _OF_THE_MTA and path not in self.passed:
                    # The mail user: an MTA calls vdeliver as that one.
                    admit(path, site.mta_group, site.user)
        except BindError:
            _close(fresh)
            raise
        _close({key: self.listeners.pop(key) for key in self.listeners.keys() - wanted})
        self.listeners |= fresh

    def staff(self) -> None:
        """Start a new generation of workers."""
        worker.preload({speech for speech, _ in self.listeners})
        gc.collect()  # what is garbage now would stay for ever; see start
        self.generation += 1
        native = 1 if self.site.pop3.native else 0
        for end in self.native or ():
            end.close()
        self.native = socket.socketpair() if native else None
        for role, number in (
            (Role.NATIVE, native),
            (Role.POP3, self.site.pop3.workers),
            (Role.LMTP, self.site.lmtp.workers),
            (Role.MAPS, 1),
            (Role.WEB, 1),
        ):
            if role is Role.NATIVE or self.doors(role):
                for place in range(number):
                    self.start(role, place, 0)

    def doors(self, role: Role) -> list[Door]:
        """The listening sockets of a role."""
        return [
            Door(listener, speech)
            for (speech, _), listeners in self.listeners.items()
            if self.role(speech) is role
            for listener in listeners
        ]

    def role(self, speech: Speech) -> Role:
        """Who serves it: for what any worker can tell, no process is started that nothing else needs."""
        spoken = {each for each, _ in self.listeners}
        if speech in _OF_ANYBODY and Speech.POP3 in spoken and not spoken & {Speech.LMTP, Speech.SMTP}:
            return Role.POP3
        return speech.role

    def start(self, role: Role, number: int, deaths: int) -> None:
        """Start one worker and wait until it serves, or has died."""
        if not self.rows:
            log.error("no more than %d workers: none is started for %s", MAX_WORKERS, role.value)
            return
        row = self.rows.pop(0)
        self.shared.clear(row)
        self.directory.names()  # what changed since the last fork is read once here, and not by each worker
        # A collection writes to every object that it looks at, and what is written to is shared no more.
        gc.freeze()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self.become_worker(role, row, writing)
        os.close(writing)
        self.workers[pid] = _Worker(role, number, self.generation, time.monotonic(), row, deaths)
        select.select([reading], [], [], _READY_TIME)
        os.close(reading)

    def become_worker(self, role: Role, row: int, ready: int) -> None:
        """The child's side of a fork; does not return."""
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # A terminal's Ctrl-C reaches the whole group: it is the supervisor who ends the workers.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self.lifeline[1])
            os.close(self.lock)  # a worker that outlives its supervisor must not keep the next one out
            doors = self.doors(role)
            # What other roles serve: while we drain, clients would connect there and wait in vain.
            served = {door.listener for door in doors}
            for other in {each for sockets in self.listeners.values() for each in sockets} - served:
                other.close()
            lifeline = self.lifeline[0]
            channel, daemons = self.native or (None, None)
            if role is Role.NATIVE and daemons is not None:
                os.close(ready)
                passthrough.run(daemons, lifeline, self.site.pop3.native)
            else:
                shared = self.layout, self.site, self.directory, self.shared
                serve_role = worker.run
                if role is Role.WEB:
                    from vmaild.servers.webd import run as serve_role  # noqa: PLC0415  much that others need not
                serve_role(Post(*shared, row, doors, lifeline, ready, channel))
            status = 0
        except BaseException:
            log.exception("%s worker failed", role.value)
        finally:
            logging.shutdown()
            sys.stdout.flush()
            os._exit(status)

    def reap(self) -> None:
        """Note which workers ended; the places of those that should not have are vacant."""
        while self.workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            ended = self.workers.pop(pid, None)
            if ended is not None:
                self.shared.clear(ended.row)  # what it had open, it has no longer
                self.rows.insert(0, ended.row)
            if ended is None or ended.generation != self.generation:
                continue
            log.error("%s worker %d ended (%s), starting another", ended.role.value, pid, _how(status))
            young = time.monotonic() - ended.started < 1
            deaths = ended.deaths + 1 if young else 0
            pause = min(0.1 * 2**deaths, _MAX_PAUSE) if young else 0.0
            self.vacancies.append(_Vacancy(ended.role, ended.number, time.monotonic() + pause, deaths))

    def fill(self) -> float:
        """Start workers where places are vacant; seconds until the next attempt."""
        now = time.monotonic()
        due = [vacancy for vacancy in self.vacancies if vacancy.due <= now]
        if due:
            self.directory.names()  # a replacement has to know what was changed since the supervisor last looked
        for vacancy in due:
            self.vacancies.remove(vacancy)
            self.start(vacancy.role, vacancy.number, vacancy.deaths)
        return min((vacancy.due - now for vacancy in self.vacancies), default=60.0)

    def reload(self) -> None:
        """Serve by the settings as they are now; with wrong ones, go on with the old."""
        try:
            site, findings = load_site(self.layout)
            for finding in findings:
                log.warning("%s", finding)
            worker.check_user(site.user)
            self.bind(site)
        except (SiteUnusable, BindError, ServeError) as error:
            log.error("not reloaded: %s", error)
            return
        old = list(self.workers)
        self.site = site
        self.directory = _directory(self.layout, site)
        self.directory.names()
        self.vacancies.clear()
        self.staff()
        self.tell(old, signal.SIGTERM)
        log.info("reloaded %s", self.layout.site)

    def tell(self, pids: list[int], number: signal.Signals) -> None:
        """Send a signal to workers."""
        for pid in pids:
            if pid in self.workers:
                os.kill(pid, number)

    def run(self) -> None:
        """Until SIGTERM or SIGINT: carry out signals, replace what died."""
        while True:
            info = signal.sigtimedwait(_SIGNALS, max(0.01, self.fill()))
            match info.si_signo if info else None:
                case signal.SIGHUP:
                    self.reload()
                case signal.SIGCHLD:
                    self.reap()
                case signal.SIGTERM | signal.SIGINT:
                    return

    def end(self) -> None:
        """Drain: no new connections, sessions in progress finish, then all workers are gone."""
        self.generation += 1
        _close(self.listeners)
        self.tell(list(self.workers), signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_TIME + 5
        while self.workers:
            info = signal.sigtimedwait(_SIGNALS, max(0.0, deadline - time.monotonic()))
            if info is None:
                self.tell(list(self.workers), signal.SIGKILL)
                deadline += 5
            elif info.si_signo in (signal.SIGTERM, signal.SIGINT):
                self.tell(list(self.workers), signal.SIGTERM)
            self.reap()


def serve(layout: Layout, *, on_ready: Callable[[], None] | None = None) -> int:
    """Serve everything that vmail.toml enables, in the foreground, until told to end; the exit status.

    Raises ServeError (and SiteUnusable) when the servers cannot be started.
    """
    site, findings = load_site(layout)
    for finding in findings:
        log.warning("%s", finding)
    worker.check_user(site.user)
    _make_run_folders(layout, site.user)
    try:
        with exclusive(f"{layout.run}/serve.lock", 0) as lock:
            return _serve(layout, site, lock, on_ready)
    except LockTimeout as taken:
        raise ServeError(f"already running: {taken}; stop that one first") from taken


def _make_run_folders(layout: Layout, user: str) -> None:
    """Give the mail user what `vmail init` gave it: after a boot, /run is empty."""
    for folder, mode in ((layout.run, 0o755), (layout.unanswered, 0o700)):
        make_folders(folder, mode)
        if user:  # else the workers are root, too
            hand_over(folder, user, layout.spool)


def _directory(layout: Layout, site: Site) -> FileDirectory:
    return FileDirectory(
        layout,
        site.recipient_delimiter,
        srs=site.delivery.srs,
        forwarding=site.forwarding,
        learnt=learn(layout, site),
    )


def _serve(layout: Layout, site: Site, lock: int, on_ready: Callable[[], None] | None) -> int:
    # Blocked at once: from here on they wait for sigtimedwait, and none is missed.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    directory = _directory(layout, site)
    directory.names()  # before the fork: what all workers need is read once and shared
    supervisor = Supervisor(layout, site, directory, lifeline=os.pipe(), lock=lock)
    try:
        supervisor.passed |= passed_sockets(os.environ)
        supervisor.bind(site)
    except BindError as error:
        raise ServeError(str(error)) from error
    served = {address_of(listener) for sockets in supervisor.listeners.values() for listener in sockets}
    for address in supervisor.passed.keys() - served:
        log.warning("%s was passed to this process, but no setting of vmail.toml listens there", address)
    make_folders(layout.incoming, 0o700)
    supervisor.staff()
    log.info("serving %d domains", len(directory.names()))
    if on_ready is not None:
        on_ready()
    supervisor.run()
    log.info("ending: sessions in progress may finish")
    supervisor.end()
    for listen in (*site.lmtp.listen, *site.maps.listen, LIVE_VIEW):
        if listen.path and layout.path(listen.path) not in supervisor.passed:
            os.unlink(layout.path(listen.path))
    return 0


def _close(listeners: dict[tuple[Speech, Listen], list[socket.socket]]) -> None:
    for sockets in listeners.values():
        for listener in sockets:
            listener.close()


def _is_loopback(listen: Listen) -> bool:
    return bool(listen.path) or (listen.host != "*" and ipaddress.ip_address(listen.host).is_loopback)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.waitstatus_to_exitcode(status)}"
