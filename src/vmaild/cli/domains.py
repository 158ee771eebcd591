"""`vmail domain`: what the definitions of the domains say."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import domains
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.cli.conventions import (
    ArchiveMail,
    DeleteMail,
    DryRun,
    Json,
    KeepMail,
    Verbs,
    Yes,
    examples,
    mail_choice,
    root_of,
)
from vmaild.cli.output import place, print_fields, print_json, print_plan, print_question, print_table
from vmaild.cli.text import quota_in_words, size_in_words

app = Verbs("Add, change, show and remove domains.")

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name, such as va.toto.fr.", show_default=False)]
Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="IP",
        help="A service address that stands for the domain; 'auto': the next free one of the pool; repeatable.",
    ),
]
Aliases = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="NAME", help="Another name of the domain, with the same users; repeatable."),
]
Fallback = Annotated[
    str | None,
    typer.Option(
        metavar="DEST",
        show_default=False,
        help="Where mail for unknown names goes: user@other, @other (same name there), account, |command, or '' "
        "to refuse it.",
    ),
]
AliasFiles = Annotated[
    list[str] | None,
    typer.Option("--alias-file", metavar="PATH", help="An extra alias file, after the implicit one; at most two."),
]
MailHost = Annotated[
    str | None, typer.Option(metavar="NAME", show_default=False, help="The name that clients connect to.")
]
Quota = Annotated[
    str | None,
    typer.Option(metavar="SIZE", show_default=False, help="Of each mailbox: 100M, 2G; 'none' for no limit."),
]
MaxUsers = Annotated[
    int | None,
    typer.Option(metavar="N", show_default=False, help="Accounts that co-administrators may create; 0: no limit."),
]
MatchFullName = Annotated[
    bool | None,
    typer.Option(
        "--match-full-name/--no-match-full-name",
        show_default=False,
        help="Whether Bob Martin also receives bob.martin@.",
    ),
]
Certificate = Annotated[
    str | None, typer.Option(metavar="PATH", show_default=False, help="Certificate and key of the mail host, PEM.")
]
Disabled = Annotated[
    bool | None,
    typer.Option("--disable/--enable", show_default=False, help="Take the domain out of service; its mail waits."),
]
PlainLogins = Annotated[
    bool | None,
    typer.Option(
        "--plain-logins/--no-plain-logins",
        show_default=False,
        help="Whether passwords may come in clear text from other machines, without TLS.",
    ),
]
QuotaMessages = Annotated[
    int | None, typer.Option(metavar="N", show_default=False, help="Messages in each mailbox; 0: no limit.")
]
MaxMessageSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", show_default=False, help="The largest message; 'none': as the site has it."),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="COMMAND",
        show_default=False,
        help="A program, by its whole path, that every message passes before it is put in a mailbox; '' for none.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="SIGN",
        show_default=False,
        help="What parts login and sub-address; '' for no sub-addresses, 'default' for the site's.",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(metavar="en|fr", show_default=False, help="Of letters to its users, such as quota warnings."),
]


@app.verb(
    epilog=examples(
        "vmail domain add va.toto.fr",
        "vmail domain add va.toto.fr --address auto",
        "vmail domain add va.toto.fr --address 172.16.0.1 --alias va.example",
        "vmail domain add va.toto.fr --fallback @main.example --dry-run",
    )
)
def add(
    context: typer.Context,
    name: Name,
    *,
    address: Addresses = None,
    alias: Aliases = None,
    fallback: Fallback = None,
    alias_file: AliasFiles = None,
    mail_host: MailHost = None,
    quota: Quota = None,
    max_users: MaxUsers = None,
    match_full_name: MatchFullName = None,
    certificate: Certificate = None,
    disable: Disabled = None,
    plain_logins: PlainLogins = None,
    quota_messages: QuotaMessages = None,
    max_message_size: MaxMessageSize = None,
    filter_command: Filter = None,
    recipient_delimiter: Delimiter = None,
    language: Language = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put a new domain into service.

    Only the name is mandatory. A passwd, shadow or alias file of that name which is there already, copied from
    a real server perhaps, is used as it is.
    """
    settings = domains.DomainSettings(
        mail_host=mail_host,
        addresses=address,
        aliases=alias,
        fallback=fallback,
        alias_files=alias_file,
        quota=quota,
        max_users=max_users,
        match_full_name=match_full_name,
        certificate=certificate,
        disabled=disable,
        plain_logins=plain_logins,
        quota_messages=quota_messages,
        max_message_size=max_message_size,
        filter=filter_command,
        recipient_delimiter=recipient_delimiter,
        language=language,
    )
    plan = domains.add_domain(open_door(root_of(context)), parse_domain(name), settings, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(
    name="set",
    epilog=examples(
        "vmail domain set va.toto.fr --fallback postmaster",
        "vmail domain set va.toto.fr --alias va.example --alias va.test",
        "vmail domain set va.toto.fr --alias ''",
    ),
)
def set_(
    context: typer.Context,
    name: Name,
    *,
    address: Addresses = None,
    alias: Aliases = None,
    fallback: Fallback = None,
    alias_file: AliasFiles = None,
    mail_host: MailHost = None,
    quota: Quota = None,
    max_users: MaxUsers = None,
    match_full_name: MatchFullName = None,
    certificate: Certificate = None,
    disable: Disabled = None,
    plain_logins: PlainLogins = None,
    quota_messages: QuotaMessages = None,
    max_message_size: MaxMessageSize = None,
    filter_command: Filter = None,
    recipient_delimiter: Delimiter = None,
    language: Language = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Change the definition of a domain.

    What is not given stays. An option that may be repeated replaces the whole list; an empty text clears it.
    """
    settings = domains.DomainSettings(
        mail_host=mail_host,
        addresses=address,
        aliases=alias,
        fallback=fallback,
        alias_files=alias_file,
        quota=quota,
        max_users=max_users,
        match_full_name=match_full_name,
        certificate=certificate,
        disabled=disable,
        plain_logins=plain_logins,
        quota_messages=quota_messages,
        max_message_size=max_message_size,
        filter=filter_command,
        recipient_delimiter=recipient_delimiter,
        language=language,
    )
    plan = domains.set_domain(open_door(root_of(context)), parse_domain(name), settings, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail domain show va.toto.fr"))
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show the definition of a domain, by its name or a domain alias."""
    record = domains.show_domain(open_door(root_of(context)), parse_domain(name))
    if as_json:
        print_json(_document(record))
        return
    definition = record.definition
    assert definition is not None
    print_fields(
        [
            ("domain", record.name + (" (disabled)" if definition.disabled else "")),
            ("mail host", definition.mail_host or "not set"),
            ("service addresses", ", ".join(definition.addresses) or "none"),
            ("domain aliases", ", ".join(definition.aliases) or "none"),
            ("fallback", record.fallback or "none: unknown names are refused"),
            ("extra alias files", ", ".join(definition.alias_files) or "none"),
            ("quota", quota_in_words(definition.quota, definition.quota_messages)),
            ("largest message", _largest(definition.max_message_size)),
            ("filter program", definition.filter or "none"),
            ("users", f"{record.users}" + (f" of {definition.max_users}" if definition.max_users else "")),
            ("aliases", str(record.alias_count)),
            ("match full names", "yes" if definition.match_full_name else "no"),
            ("certificate", definition.certificate or "not set"),
            ("co-administrators", ", ".join(definition.admins) or "none"),
            ("written in", str(definition.source)),
        ]
    )


@app.verb("list", epilog=examples("vmail domain list", "vmail domain list --json"))
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the domains that you may see."""
    records = domains.list_domains(open_door(root_of(context)))
    if as_json:
        print_json({"domains": [_document(record) for record in records]})
        return
    if not records:
        print("There are no domains; 'vmail domain add' makes one.")
        return
    print_table(("domain", "service addresses", "domain aliases", "users", "state"), map(_row, records))


@app.verb(epilog=examples("vmail domain remove va.toto.fr", "vmail domain remove va.toto.fr --delete-mail --yes"))
def remove(
    context: typer.Context,
    name: Name,
    *,
    archive_mail: ArchiveMail = False,
    keep_mail: KeepMail = False,
    delete_mail: DeleteMail = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a domain out of service, with its accounts and aliases.

    Unless you say otherwise its mail is set aside in .archive of the spool, and its files in /etc/vmail/.archive,
    from where they can be brought back.
    """
    door, domain = open_door(root_of(context)), parse_domain(name)
    mail = mail_choice(archive=archive_mail, keep=keep_mail, delete=delete_mail)
    if not (yes or dry_run):
        print_question(domains.remove_domain(door, domain, mail, dry_run=True), mail=mail, as_json=as_json)
    plan = domains.remove_domain(door, domain, mail, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


# -- parts


def _largest(size: int) -> str:
    return size_in_words(size) if size else "as the site has it"


def _row(record: domains.DomainRecord) -> tuple[str, str, str, str, str]:
    definition = record.definition
    if definition is None:
        return record.name, "", "", "", f"damaged: {record.problem}"
    state = "disabled" if definition.disabled else "in service"
    addresses, aliases = ", ".join(definition.addresses), ", ".join(definition.aliases)
    return record.name, addresses, aliases, str(record.users), state


def _document(record: domains.DomainRecord) -> dict[str, object]:
    definition = record.definition
    if definition is None:
        return {"name": record.name, "problem": record.problem}
    return {
        "name": record.name,
        "mail_host": definition.mail_host,
        "addresses": list(definition.addresses),
        "aliases": list(definition.aliases),
        "fallback": record.fallback,
        "alias_files": list(definition.alias_files),
        "quota": definition.quota,
        "max_users": definition.max_users,
        "match_full_name": definition.match_full_name,
        "admins": list(definition.admins),
        "rights": list(definition.rights),
        "disabled": definition.disabled,
        "plain_logins": definition.plain_logins,
        "quota_messages": definition.quota_messages,
        "max_message_size": definition.max_message_size,
        "filter": definition.filter,
        "recipient_delimiter": definition.recipient_delimiter,
        "language": definition.language,
        "certificate": definition.certificate,
        "users": record.users,
        "alias_count": record.alias_count,
        "source": place(definition.source),
    }
