"""vdeliver - delivery agent of virtual mail domains

SYNOPSIS

vdeliver [--root DIR] [-f SENDER] RECIPIENT...

DESCRIPTION

Reads one message on standard input and delivers it to every RECIPIENT (user@domain), each by the order alias,
account, fallback. Meant to be called by the local mail transport agent. Where "vmail serve" is running the
message goes through its socket; else vdeliver delivers itself, as the mail user, also where root calls it.

There is one exit status for all recipients, so it is all or nothing: when one of them is refused, the message
is delivered to none, and standard error says which and why, fit for the sender's eyes.

OPTIONS

-f SENDER: the envelope sender. Empty, "<>" or "MAILER-DAEMON" is the null sender. Without it, the sender of a
leading "From " line, else the null sender.

--root DIR: prefix of every path; the default is VMAIL_ROOT, else none.

EXIT STATUS

As in sysexits(3): 0 the message is on disk for everybody; 64 wrong usage; 67 no such user; 68 no such domain;
75 try again later; 69 and others, refused.

FILES

/run/vmail/lmtp.sock, /etc/vmail, /var/spool/vmail

SEE ALSO

vmail(1), vpop3d(8), vmail.toml(5), aliases(5), sysexits(3)
"""  # noqa: D400, D405, D407, D412, D415  the form of a manual page

# A process for each message: what is imported here is paid for each time. On the way through the server's
# socket nothing but built-in modules is needed, so everything else is imported where it is.
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator, Sequence

    from vmaild.outcome import Outcome
    from vmaild.protocol.lmtp_client import Result

_BLOCK = 65536
_EX_OK, _EX_USAGE, _EX_TEMPFAIL = 0, 64, 75  # sysexits(3); outcome.py has the table of the others
_SERVER_TIME = 600
"""Seconds that the server may take for one answer (RFC 5321 4.5.3.2.6: ten minutes after the content)."""


def main() -> int:
    """The command."""
    try:
        root, sender, recipients = _arguments(sys.argv[1:])
    except _Usage as wrong:
        print(wrong, file=sys.stderr if wrong.status else sys.stdout)
        return wrong.status
    try:
        _be_one_user()
        return _deliver(root, sender, recipients)
    # Whatever it is, the message has to stay with the caller.
    except Exception as error:
        _say(f"vdeliver: try again later: {type(error).__name__}")
        from vmaild.delivery.system_log import system_log

        system_log().exception("not delivered")
        return _EX_TEMPFAIL


def _be_one_user() -> None:
    """Give up for good what the caller has left us of its rights. Raises OSError.

    Sendmail's F=S makes the effective user ours, and leaves root's groups and a real user who may be root again:
    what an alias runs is not to inherit either.
    """
    user = os.geteuid()
    if os.getuid() == user:
        return
    if os.getuid() == 0:
        import pwd

        name = pwd.getpwuid(user).pw_name
        os.seteuid(0)
        os.initgroups(name, os.getegid())
    os.setresuid(user, user, user)


class _Usage(Exception):
    def __init__(self, text: str, status: int = _EX_USAGE) -> None:
        super().__init__(text)
        self.status = status


def _arguments(arguments: list[str]) -> tuple[str, str | None, list[str]]:
    """Root, sender (None: not given), recipients. Raises _Usage."""
    root = os.environ.get("VMAIL_ROOT", "")
    sender = None
    recipients: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            recipients += rest
        elif argument in {"-h", "--help"}:
            raise _Usage((__doc__ or "").strip(), _EX_OK)
        elif argument == "--version":
            from vmaild import __version__

            raise _Usage(f"vdeliver {__version__}", _EX_OK)
        elif argument in {"-f", "--root"}:
            value = next(rest, None)
            if value is None:
                raise _Usage(f"vdeliver: {argument} wants a value; see vdeliver --help")
            if argument == "-f":
                sender = value
            else:
                root = value
        elif argument.startswith("--root="):
            root = argument.removeprefix("--root=")
        elif argument.startswith("-f"):
            sender = argument.removeprefix("-f")
        elif argument.startswith("-"):
            raise _Usage(f"vdeliver: unknown option {argument}; see vdeliver --help")
        else:
            recipients.append(argument)
    recipients = [_bare(recipient) for recipient in recipients]
    if not recipients:
        raise _Usage("vdeliver: no recipient; usage: vdeliver [-f SENDER] RECIPIENT...")
    return root, None if sender is None else _bare(sender), recipients


def _bare(address: str) -> str:
    """Without the angle brackets of SMTP, which some callers leave around it; dovecot-lda takes them, too."""
    return address[1:-1] if address[:1] == "<" and address[-1:] == ">" else address


def _deliver(root: str, sender: str | None, recipients: "Sequence[str]") -> int:
    """Deliver standard input; the exit status."""
    first = os.read(0, _BLOCK)
    if first.startswith(b"From "):
        # The envelope line of mbox, which some MTAs put before what they pipe; it is no part of the message.
        while b"\n" not in first and (more := os.read(0, _BLOCK)):
            first += more
        line, _, first = first.partition(b"\n")
        if sender is None:
            sender = _bare(os.fsdecode(line.split()[1])) if len(line.split()) > 1 else ""
    if any(c < " " or c == "\x7f" for c in "".join(recipients)):
        _say("vdeliver: control character in an address")
        return _EX_USAGE
    sender, server = _sayable(sender), _server(root)
    if server is None:
        return _without_server(root, sender, recipients, _content(first))
    results, goodbye = _through_server(server, sender, recipients, _content(first))
    worst = _EX_OK
    for recipient, code, enhanced, text in results:
        if code // 100 != 2:
            from vmaild.outcome import exit_status

            worst = _worse(worst, exit_status(code, enhanced))
            _say(f"vdeliver: <{recipient}>: {code} {enhanced} {text}")
    try:
        server.sendall(goodbye)  # with it the server forgets; whoever is killed before is called again
    finally:
        os._exit(worst)


def _sayable(sender: str | None) -> str:
    """A sender as SMTP spells it, whatever it is: were one refused, there would be nobody to tell."""
    from vmaild.protocol.lmtp_client import path

    if sender in {None, "", "MAILER-DAEMON"}:
        return ""
    # What is no UTF-8 is taken for Latin-1; what is no address at all, for a local part.
    text = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in os.fsencode(sender).decode("latin-1"))
    return (path(sender) or path(text) or path(f'"{text}"') or b"<>")[1:-1].decode()


def _content(first: bytes) -> "Iterator[bytes]":
    while first:
        yield first
        first = os.read(0, _BLOCK)


def _worse(one: int, other: int) -> int:
    """Of two exit statuses the one to report: a message that may still be delivered is not given up."""
    return _EX_TEMPFAIL if _EX_TEMPFAIL in {one, other} else one or other


def _server(root: str) -> "_socket.socket | None":
    """A connection to the running server; None: there is none."""
    import _socket  # socket without the classes around it, which take longer to import than all the rest

    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        server.settimeout(_SERVER_TIME)
        server.connect(f"{root}/run/vmail/lmtp.sock")
    except OSError:
        return None
    return server


def _through_server(
    server: "_socket.socket", sender: str, recipients: "Sequence[str]", content: "Iterator[bytes]"
) -> "tuple[list[Result], bytes]":
    """Hand the message to the server; what became of it, and what is to be said last of all."""
    from vmaild.protocol.lmtp_client import ONE_ANSWER, QUIT, converse, dialogue

    last: list[bytes] = []
    run = dialogue(ONE_ANSWER, sender, recipients, content)

    def write(data: bytes) -> None:
        (last.append if data is QUIT else server.sendall)(data)

    return converse(run, lambda: server.recv(_BLOCK), write), b"".join(last)


def _without_server(root: str, sender: str, recipients: "Sequence[str]", content: "Iterator[bytes]") -> int:
    """Deliver in this process; the exit status."""
    from vmaild.address import AddressError, parse_address
    from vmaild.delivery.agent import Agent, Order
    from vmaild.delivery.outside import outside
    from vmaild.delivery.system_log import system_log
    from vmaild.outcome import Condition, Rejected
    from vmaild.protocol.lmtp_client import path
    from vmaild.store.content import Content
    from vmaild.store.directory import FileDirectory
    from vmaild.store.layout import layout
    from vmaild.store.maildir import MaildirStore
    from vmaild.store.rights import give_up_root, hand_over
    from vmaild.store.site import load_site
    from vmaild.store.unanswered import Unanswered, notes_folder

    system_log()
    where = layout(root)
    site, _ = load_site(where)
    hand_over(notes_folder(where), site.user, where.spool)
    # As the server does: whatever users place in the way, root writes nothing there, and all is the mail user's.
    give_up_root(site.user, where.spool)
    notes = Unanswered(notes_folder(where))
    directory = FileDirectory(where, site.recipient_delimiter, srs=site.delivery.srs, forwarding=site.forwarding)
    agent = Agent(
        directory,
        MaildirStore(where.spool, notes),
        outside(where, site, "localhost", notes),
        defer_over_quota=site.delivery.over_quota == "defer",
    )
    orders: list[Order] = []
    refused = _EX_OK
    outcome: Outcome
    for recipient in recipients:
        order = None
        try:
            outcome, order = agent.accept(parse_address((path(recipient) or b"<>")[1:-1].decode()))
        except AddressError as error:
            outcome = Rejected(Condition.BAD_RECIPIENT, str(error))
        if order is not None:
            orders.append(order)
        else:
            refused = _worse(refused, _report(recipient, outcome))
    if refused:
        return refused
    status = _EX_OK
    with Content(where.incoming) as message:
        for chunk in content:
            message.append(chunk)
            if site.delivery.max_size and message.size > site.delivery.max_size:
                return _report(", ".join(recipients), Rejected(Condition.TOO_BIG))
        message.finish()
        attempt = agent.attempt(one_answer=True)
        outcomes = agent.deliver(sender, b"", orders, message, attempt)
        for order, outcome in zip(orders, outcomes, strict=True):
            status = _worse(status, _report(str(order.recipient), outcome))
        notes.end()
        agent.answered(attempt)  # whoever is killed before is called again, so our end follows
        os._exit(status)


def _report(recipient: str, outcome: "Outcome") -> int:
    from vmaild.outcome import exit_status

    status = exit_status(outcome.code, outcome.enhanced)
    if status:
        _say(f"vdeliver: <{recipient}>: {outcome}")
    return status


def _say(text: str) -> None:
    """Tell the caller, if it listens: what became of the message does not depend on that."""
    try:  # noqa: SIM105
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # contextlib would have to be imported
        pass


if __name__ == "__main__":
    sys.exit(main())
