"""Runs the program behind an alias (`|prog args`), as Postfix's local(8) and the original do.

The command line is split into words as a shell would, without one; only where it has signs that want a shell, such
as `>`, /bin/sh runs it, as local(8) does. The tokens %d (domain), %u (name), %f (sender) and %% are replaced after
that, and lose every sign that a shell minds, so nothing that a sender writes becomes a word of its own; nor does
it become an option or a path: a leading `-` or `.` and every `/` is lost, too. (Postfix refuses addresses with a
leading `-` altogether, see allow_min_user in postconf(5).)

The message is the program's standard input. It runs as the mail user, in `/`, with a clean environment and a time
limit. Its exit status is one of sysexits(3): 0 delivered, 75 and a few others try again later, the rest refused.
What it says goes into the text for the sender. Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import logging
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from vmaild.address import Address
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content, scratch_file
from vmaild.store.rights import mail_user

log = logging.getLogger("vmaild.delivery")

MAX_OUTPUT = 4096
"""Octets of what a program says that are kept."""
_MAX_TEXT = 200
"""Characters of it that the sender is told."""
_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
# sysexits(3): what may be otherwise next time. Everything else, a signal included, is as in local(8).
_TEMPORARY = {71, 73, 74, 75}  # EX_OSERR, EX_CANTCREAT, EX_IOERR, EX_TEMPFAIL
_NOT_FOUND = {126, 127}
# The characters that local(8) lets through (command_expansion_filter): a program may be a shell script.
_DANGEROUS = re.compile(r"[^0-9A-Za-z!@%_=+:,./-]")
_SHELL = re.compile(r"[<>|;&$`*?~\\\[\](){}!\n]")
_TOKEN = re.compile(r"%(.)")


@dataclass(frozen=True, slots=True)
class Run:
    """A program and all that it is told."""

    command: str
    """As the alias has it, without the `|`."""
    sender: str
    recipient: Address
    """Whom the message was for."""
    domain: str
    user: str
    """The name that led to the program: the alias, or what the fallback was asked for."""
    extension: str = ""
    """The sub-address."""

    def words(self) -> list[str]:
        """The program and its arguments. Raises ValueError where a quote is not closed, or nothing is there."""
        values = {"d": _word(self.domain), "u": _word(self.user), "f": _word(self.sender), "%": "%"}
        words = shlex.split(self.command)
        if not words:
            raise ValueError("no program")
        if _SHELL.search(re.sub(r"'[^']*'", "", self.command)):
            words = ["/bin/sh", "-c", self.command]
        return [_TOKEN.sub(lambda token: values.get(token[1], token[0]), word) for word in words]

    def environment(self) -> Mapping[str, str]:
        """What local(8) gives a program, with the same care for what came from outside."""
        recipient = str(self.recipient)
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/sh",
            "HOME": "/",
            "LANG": "C",
            **{
                name: _safe(value)
                for name, value in {
                    "SENDER": self.sender,
                    "RECIPIENT": f"{self.user}@{self.domain}",
                    "ORIGINAL_RECIPIENT": recipient,
                    "USER": self.user,
                    "LOGNAME": self.user,
                    "LOCAL": self.recipient.local_part,
                    "DOMAIN": self.domain,
                    "EXTENSION": self.extension,
                }.items()
            },
        }


def run(
    what: Run, header: bytes, content: Content, folder: str, seconds: float, taken: Callable[[], object]
) -> Outcome:
    """Give the message to the program; `header` goes above the content. Never raises.

    `folder` takes the message for as long as the program reads it; `seconds` is its time limit. `taken` is called
    as soon as the program has taken it.
    """
    status: int | None = None
    output = b""
    try:
        words = what.words()
        with scratch_file(folder) as message:
            content.write_to(message, header)
            os.lseek(message, 0, os.SEEK_SET)
            status, output = execute(words, what.environment(), message, folder, seconds)
            if status == 0:
                taken()
    except (OSError, ValueError) as error:
        log.error("command |%s of %s cannot be run: %s", what.command, what.recipient, error)
        if status != 0:
            return Deferred(Condition.COMMAND_WAITS)
    outcome = judged(status, output)
    level = logging.INFO if isinstance(outcome, Delivered) else logging.ERROR
    log.log(level, "command |%s of %s: %s, %s", what.command, what.recipient, _told(status), outcome)
    return outcome


def judged(status: int | None, output: bytes) -> Outcome:
    """What an exit status (negative: a signal; None: out of time) and what was said mean for the message."""
    text = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in output.decode("utf-8", "replace")))
    text = text.strip()[:_MAX_TEXT]
    if status == 0:
        return Delivered()
    if status is None or status in _TEMPORARY or status in _NOT_FOUND:
        return Deferred(Condition.COMMAND_WAITS, text)
    if status < 0:
        return Deferred(Condition.COMMAND_WAITS)
    if status == 67:  # EX_NOUSER
        return Rejected(Condition.NO_SUCH_USER, text)
    return Rejected(Condition.COMMAND_FAILED, text)


def execute(
    words: list[str],
    environment: Mapping[str, str],
    stdin: int,
    folder: str,
    seconds: float,
    *,
    stdout: int | None = None,
    limit: int = 0,
    as_mail_user: bool = True,
) -> tuple[int | None, bytes]:
    """Run a program as the mail user until it ends; its status (None: out of time) and what it said first.

    Once its time is over it is ended, with all that it started. `folder` belongs to the mail user. What is written
    to the file `stdout`, if one is given, is not heard; once that is larger than `limit` the program is ended.
    Raises OSError where it cannot be started.
    """
    user, group = (mail_user(folder) if as_mail_user else None) or (None, None)
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  no shell; the command is the site administrator's
            words,
            stdin=stdin,
            stdout=writing if stdout is None else stdout,
            stderr=writing,
            cwd="/",
            env=environment,
            umask=0o077,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with process:
        try:
            return _watch(process, reading, time.monotonic() + seconds, stdout, limit)
        except BaseException:
            _end(process)
            raise
        finally:
            with suppress(OSError):
                os.close(reading)


def _watch(
    process: subprocess.Popen[bytes], reading: int, deadline: float, file: int | None, limit: int
) -> tuple[int | None, bytes]:
    """Read what a program says, so that it never waits for us, until it has ended or its time is over."""
    output = b""
    ended = False
    said = select.poll()  # select(2) knows no descriptors from 1024 on
    said.register(reading, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or (file is not None and os.fstat(file).st_size > limit):
            _end(process)
            return None, output
        # A child that it left behind may hold the pipe open: what counts is the program itself.
        if said.poll(0 if ended else min(left, 0.05) * 1000):
            data = os.read(reading, MAX_OUTPUT)
            output = (output + data)[:MAX_OUTPUT]
            if not data:
                break
        elif ended:
            break
        if ended and len(output) == MAX_OUTPUT:
            break  # it may go on for ever
        ended = process.poll() is not None
    try:
        return process.wait(max(0.0, deadline - time.monotonic())), output
    except subprocess.TimeoutExpired:
        _end(process)
        return None, output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    process.wait()


def _word(text: str) -> str:
    """A value as a part of a command line."""
    text = _safe(text).replace("/", "_")
    return "_" + text[1:] if text.startswith(".") else text


def _safe(text: str) -> str:
    text = _DANGEROUS.sub("_", text)
    return "_" + text[1:] if text.startswith("-") else text


def _told(status: int | None) -> str:
    if status is None:
        return "out of time"
    return f"signal {-status}" if status < 0 else f"status {status}"
