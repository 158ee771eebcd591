"""What all verbs of `vmail` have in common: options, how errors are told, how a question is asked.

Exit status: 0 done, 1 a finding or a refusal, 2 wrong usage. An error is one line on standard error, the
problem and the remedy; with --json it is also one document on standard output.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from vmaild.admin.plan import Mail
from vmaild.admin.refusal import Misused, Refused, system_refusal
from vmaild.cli.text import safe

REFUSED, MISUSED = 1, 2

Verb = TypeVar("Verb", bound=Callable[..., Any])

# Typer brings its own copy of click or uses the installed one: this is its UsageError either way.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; print exactly what would change, files and mail routes.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; scripts need it with --delete-mail only.")]

ArchiveMail = Annotated[
    bool, typer.Option("--archive-mail", help="Set the mail aside in .archive of the spool; this is the default.")
]
KeepMail = Annotated[bool, typer.Option("--keep-mail", help="Leave the mail where it is.")]
DeleteMail = Annotated[bool, typer.Option("--delete-mail", help="Delete the mail for good.")]


Which = Annotated[
    str | None,
    typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias; left away: all.", show_default=False),
]


def examples(*commands: str) -> str:
    r"""The end of a help text; the `\b` keeps its lines apart."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def root_of(context: typer.Context) -> str | None:
    """The folder given with --root, or None."""
    root = context.find_root().params.get("root")
    return root if isinstance(root, str) else None


def mail_choice(*, archive: bool, keep: bool, delete: bool) -> Mail:
    """What becomes of the mail. Raises Misused where that is not clear."""
    if archive + keep + delete > 1:
        raise Misused("the mail cannot be archived, kept and deleted at once", "give one of these options")
    return Mail.KEEP if keep else Mail.DELETE if delete else Mail.ARCHIVE


def is_interactive() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


class VmailCommand(TyperCommand):
    """A verb; its help writes arguments as the manual does, `LOGIN@DOMAIN`, whatever the version of Typer."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """What follows the name in the usage line."""
        return ["[OPTIONS]", *(metavar for metavar, _ in arguments_of(self))]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """The sections below the text."""
        arguments = list(arguments_of(self))
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        with formatter.section("Options"):
            formatter.write_dl(list(options_of(self, ctx)))


def arguments_of(command: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  a command of click or of Typer's copy
    """The arguments of a verb, each as written in the usage line and with its help."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield parameter.metavar, parameter.help


def options_of(command: Any, context: typer.Context) -> Iterator[tuple[str, str]]:  # noqa: ANN401  likewise
    """The options of a verb, each as it is written and with its help."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if parameter.param_type_name == "option" else None
        if record is not None:
            yield record


class Verbs(typer.Typer):
    """A group of verbs with our conventions."""

    def __init__(self, text: str, group: type[TyperGroup] = TyperGroup) -> None:
        super().__init__(
            help=text,
            cls=group,
            context_settings={"help_option_names": ["-h", "--help"]},
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )

    def verb(
        self, name: str | None = None, *, epilog: str, no_args_is_help: bool = False
    ) -> Callable[[Verb], Verb]:
        """Make a function a verb of that name, or of its own."""
        return self.command(name, cls=VmailCommand, epilog=epilog, no_args_is_help=no_args_is_help)


class VmailGroup(TyperGroup):
    """The command as a whole: every expected error ends here, as one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,  # noqa: ANN401  as the class above has it
    ) -> NoReturn:
        """Run a command line and end the process with its exit status."""
        arguments = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # in a locale that lacks a letter it is told as an escape
                stream.reconfigure(errors="backslashreplace")
        try:
            result = super().main(
                arguments, prog_name or "vmail", complete_var, False, windows_expand_args, **extra
            )
            sys.stdout.flush()
            sys.exit(result if isinstance(result, int) else 0)
        except Refused as refusal:
            _fail(refusal, arguments)
        except (typer.Abort, KeyboardInterrupt):
            _fail(Refused("interrupted", "nothing was changed after that"), arguments)
        except OSError as error:
            if error.errno == errno.EPIPE:
                # `vmail ... | head` has seen enough; what Python still has to flush goes nowhere.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(REFUSED)
            _fail(system_refusal(error), arguments)
        except _USAGE_ERROR as error:
            _fail_usage(error, arguments)


def _fail(refusal: Refused, arguments: Sequence[str]) -> NoReturn:
    if "--json" in arguments:
        document = {"error": {"problem": refusal.problem, "remedy": refusal.remedy}}
        print(json.dumps(document, indent=2, sort_keys=True))
    print(safe(f"vmail: {refusal.problem}; {refusal.remedy}"), file=sys.stderr)
    sys.exit(MISUSED if isinstance(refusal, Misused) else REFUSED)


def _fail_usage(error: Exception, arguments: Sequence[str]) -> NoReturn:
    context: typer.Context | None = getattr(error, "ctx", None)
    command = context.command_path if context else "vmail"
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help())
        sys.exit(MISUSED)
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split()).rstrip(".")
    message = message.replace("Value error, ", "")  # how newer versions of Typer begin what is wrong
    _fail(Misused(message[:1].lower() + message[1:], f"see '{command} --help'"), arguments)
