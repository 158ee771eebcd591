from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from vmaild.address import Address, parse_address
from vmaild.core import routing
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Domain,
    DomainDefinition,
    Fallback,
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    IncludeList,
    LookupFailed,
    NoFallback,
    Snapshot,
    Source,
)
from vmaild.core.routing import Accepted, AutoReply, Resend, ToCommand, ToFile, ToMailbox
from vmaild.outcome import Condition, Deferred, Delivered, Rejected

NOTHING = NoFallback()
ALIASES = "/etc/vmail/aliases.va.toto.fr"


def domain(
    name: str = "va.toto.fr",
    logins: Sequence[str] = ("bob", "alice"),
    aliases: Mapping[str, str] | Sequence[Mapping[str, str]] = {},
    *,
    fallback: Fallback = NOTHING,
    domain_aliases: Sequence[str] = (),
    trusted: bool = True,
    includes: Mapping[str, Sequence[str]] = {},
    full_names: Mapping[str, str] = {},
    disabled: bool = False,
    autoreply: Sequence[str] = (),
) -> Domain:
    """A domain in a few words; aliases as `{"name": "target, target"}`, one mapping for each alias file."""
    files = [aliases] if isinstance(aliases, Mapping) else aliases
    by_full_name: dict[str, tuple[str, ...]] = {}
    for login, full_name in full_names.items():
        key = full_name.lower().replace(" ", ".")
        by_full_name[key] = (*by_full_name.get(key, ()), login)
    return Domain(
        DomainDefinition(
            name,
            aliases=tuple(domain_aliases),
            fallback=fallback,
            match_full_name=bool(full_names),
            disabled=disabled,
        ),
        {
            login.lower(): Account(
                login,
                1,
                1,
                full_names.get(login, ""),
                autoreply=login in autoreply,
                source=Source("passwd", n),
            )
            for n, login in enumerate(logins, 1)
        },
        by_full_name,
        tuple(
            AliasFile(
                f"{ALIASES}.{number}" if number else ALIASES,
                {
                    key.lower(): AliasEntry(key, tuple(targets.split(", ")), Source(ALIASES, line))
                    for line, (key, targets) in enumerate(entries.items(), 1)
                },
                trusted,
                {
                    path: IncludeList(tuple((text, Source(path, line)) for line, text in enumerate(members, 1)))
                    for path, members in includes.items()
                },
            )
            for number, entries in enumerate(files)
        ),
    )


def route(recipient: str, *domains: Domain) -> routing.Route:
    return routing.route(Snapshot({each.name: each for each in domains}), parse_address(recipient), explain=True)


def targets(recipient: str, *domains: Domain) -> list[str]:
    decided = route(recipient, *domains)
    assert isinstance(decided, Accepted), decided
    return [str(target) for target in decided.targets]


BOB = ["mailbox bob@va.toto.fr"]
ALICE = ["mailbox alice@va.toto.fr"]


@pytest.mark.parametrize("recipient", ["bob@va.toto.fr", "BOB@VA.Toto.FR", '"bob"@va.toto.fr', "bob@va.toto.fr."])
def test_an_account_receives_however_its_address_is_spelt(recipient: str) -> None:
    assert targets(recipient, domain()) == BOB


def test_a_domain_not_ours_is_not_local() -> None:
    assert isinstance(route("bob@example.org", domain()), routing.NotLocal)
    assert routing.answer(route("bob@example.org", domain())) == Rejected(Condition.NOT_LOCAL)


def test_a_bare_name_belongs_to_no_domain() -> None:
    assert isinstance(routing.route(Snapshot({}), Address("bob")), routing.NotLocal)


def test_unknown_name_without_fallback_is_rejected() -> None:
    assert routing.answer(route("nobody@va.toto.fr", domain())) == Rejected(Condition.NO_SUCH_USER)


def test_alias_comes_before_account() -> None:
    assert targets("bob@va.toto.fr", domain(aliases={"bob": "alice"})) == ALICE


def test_first_alias_file_that_has_the_name_wins_and_files_are_not_merged() -> None:
    files = [{"x": "bob"}, {"x": "alice", "y": "alice"}, {"y": "bob", "z": "bob"}]
    assert targets("x@va.toto.fr", domain(aliases=files)) == BOB
    assert targets("y@va.toto.fr", domain(aliases=files)) == ALICE
    assert targets("z@va.toto.fr", domain(aliases=files)) == BOB


def test_nested_aliases_and_lists_are_expanded_once_each() -> None:
    aliases = {"all": "staff, sales, bob", "staff": "bob, alice", "sales": "alice, joe@example.org"}
    assert targets("all@va.toto.fr", domain(aliases=aliases)) == [*BOB, *ALICE, "resend to joe@example.org"]


def test_a_name_that_names_itself_means_the_account() -> None:
    aliases = {"bob": "bob, joe@example.org"}
    assert targets("bob@va.toto.fr", domain(aliases=aliases)) == [*BOB, "resend to joe@example.org"]


def test_a_name_met_again_deeper_down_means_the_account_too() -> None:
    assert targets("bob@va.toto.fr", domain(aliases={"bob": "staff", "staff": "bob, alice"})) == [
        *BOB,
        *ALICE,
    ]


@pytest.mark.parametrize("written", [r"\bob", r"\bob@va.toto.fr", r"\BOB@va.example"])
def test_backslash_means_the_account_whatever_aliases_say(written: str) -> None:
    here = domain(aliases={"x": written, "bob": "alice"}, domain_aliases=["va.example"])
    assert targets("x@va.toto.fr", here) == BOB


def test_backslash_of_another_domain_leads_nowhere() -> None:
    there = domain("vb.toto.fr")
    assert isinstance(route("x@va.toto.fr", domain(aliases={"x": r"\bob@vb.toto.fr"}), there), routing.Rejected)


@pytest.mark.parametrize("aliases", [{"a": "b", "b": "a"}, {"a": "a"}, {"a": "b", "b": "c", "c": "b, a"}])
def test_cycles_end_and_a_cycle_alone_is_a_loop(aliases: dict[str, str]) -> None:
    assert routing.answer(route("a@va.toto.fr", domain(aliases=aliases))) == Rejected(Condition.LOOP)


def test_a_cycle_beside_a_real_target_costs_nothing() -> None:
    assert targets("a@va.toto.fr", domain(aliases={"a": "b, bob", "b": "a"})) == BOB


def test_a_dangling_member_does_not_stop_a_list() -> None:
    assert targets("list@va.toto.fr", domain(aliases={"list": "gone, bob"})) == BOB


def test_an_alias_to_nobody_is_no_such_user() -> None:
    assert routing.answer(route("x@va.toto.fr", domain(aliases={"x": "gone"}))) == Rejected(Condition.NO_SUCH_USER)


def test_nesting_without_end_makes_mail_wait() -> None:
    aliases = {f"a{n}": f"a{n + 1}" for n in range(100)} | {"a100": "bob"}
    decided = route("a0@va.toto.fr", domain(aliases=aliases))
    assert isinstance(decided, routing.Undecided)
    assert routing.answer(decided) == Deferred(Condition.BAD_CONFIGURATION)
    assert targets("a60@va.toto.fr", domain(aliases=aliases)) == BOB


def test_a_list_over_the_bound_makes_mail_wait() -> None:
    members = [f"m{n}@example.org" for n in range(routing.MAX_TARGETS)]
    fits = domain(aliases={"list": ", ".join(members)})
    assert len(targets("list@va.toto.fr", fits)) == routing.MAX_TARGETS
    explodes = domain(aliases={"list": ", ".join([*members, "one.more@example.org"])})
    assert isinstance(route("list@va.toto.fr", explodes), routing.Undecided)


def test_full_names_only_where_the_domain_asks() -> None:
    with_names = domain(logins=["joe", "bob"], full_names={"joe": "Joe Who"})
    assert targets("joe.who@va.toto.fr", with_names) == ["mailbox joe@va.toto.fr"]
    assert targets("Joe.WHO+list@va.toto.fr", with_names) == ["mailbox joe@va.toto.fr"]
    assert isinstance(route("joe.who@va.toto.fr", domain(logins=["joe"])), routing.Rejected)


def test_a_full_name_of_two_people_is_nobody() -> None:
    two = domain(logins=["joe", "joe2"], full_names={"joe": "Joe Who", "joe2": "Joe Who"})
    assert isinstance(route("joe.who@va.toto.fr", two), routing.Rejected)


def test_sub_address_goes_where_the_login_goes() -> None:
    decided = route("bob+lists@va.toto.fr", domain())
    assert isinstance(decided, Accepted)
    assert decided.targets == (ToMailbox("va.toto.fr", "bob", "lists"),)
    assert targets("bob+lists@va.toto.fr", domain(aliases={"bob": "alice"})) == ALICE
    assert targets("bob+lists@va.toto.fr", domain(aliases={"bob": "bob, alice"})) == [*BOB, *ALICE]


def test_a_whole_match_comes_before_the_sub_address() -> None:
    assert targets("bob+x@va.toto.fr", domain(aliases={"bob+x": "alice"})) == ALICE
    assert targets("bob+x@va.toto.fr", domain(logins=["bob", "bob+x"])) == ["mailbox bob+x@va.toto.fr"]


def test_alias_to_its_own_sub_address_means_the_account() -> None:
    decided = route("bob@va.toto.fr", domain(aliases={"bob": "bob+archive"}))
    assert isinstance(decided, Accepted)
    assert decided.targets == (ToMailbox("va.toto.fr", "bob", "archive"),)


def test_without_a_delimiter_there_are_no_sub_addresses() -> None:
    here = domain()
    decided = routing.route(Snapshot({here.name: here}, delimiter=""), Address("bob+x", here.name))
    assert isinstance(decided, routing.Rejected)


def test_domain_alias_has_the_same_users() -> None:
    assert targets("bob@va.example", domain(domain_aliases=["va.example"])) == BOB


def test_idna_domain_is_met_in_both_spellings() -> None:
    here = domain("xn--bcher-kva.example")
    assert targets("bob@bücher.example", here) == ["mailbox bob@xn--bcher-kva.example"]
    assert targets("bob@XN--BCHER-KVA.example", here) == ["mailbox bob@xn--bcher-kva.example"]


def test_targets_in_another_virtual_domain_are_routed_there() -> None:
    there = domain("vb.toto.fr", aliases={"sales": "alice"}, fallback=FallbackToName("bob"))
    here = domain(aliases={"a": "sales@vb.toto.fr", "b": "nobody@vb.toto.fr"})
    assert targets("a@va.toto.fr", here, there) == ["mailbox alice@vb.toto.fr"]
    assert targets("b@va.toto.fr", here, there) == ["mailbox bob@vb.toto.fr"]


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        (FallbackToAddress(Address("joe", "example.org")), "resend to joe@example.org"),
        (FallbackToAddress(Address("bob", "va.toto.fr")), "mailbox bob@va.toto.fr"),
        (FallbackToDomain("example.org"), "resend to who.ever@example.org"),
        (FallbackToName("bob"), "mailbox bob@va.toto.fr"),
        (FallbackToName("boss"), "mailbox alice@va.toto.fr"),
        (FallbackToCommand("/usr/bin/archive %u"), "command |/usr/bin/archive %u"),
    ],
)
def test_every_form_of_fallback(fallback: Fallback, expected: str) -> None:
    here = domain(aliases={"boss": "alice"}, fallback=fallback)
    assert targets("who.ever@va.toto.fr", here) == [expected]
    assert targets("bob@va.toto.fr", here) == BOB
    assert targets("boss@va.toto.fr", here) == ALICE
    assert targets("bob+any@va.toto.fr", here) == BOB


def test_fallbacks_that_name_each_other_end_at_no_such_user() -> None:
    here, there = (
        domain(fallback=FallbackToDomain("vb.toto.fr")),
        domain("vb.toto.fr", fallback=FallbackToDomain("va.toto.fr")),
    )
    assert routing.answer(route("x@va.toto.fr", here, there)) == Rejected(Condition.NO_SUCH_USER)


@pytest.mark.parametrize("name", ["gone", "x"])
def test_a_fallback_to_nobody_is_no_such_user(name: str) -> None:
    assert routing.answer(route("x@va.toto.fr", domain(fallback=FallbackToName(name)))) == Rejected(
        Condition.NO_SUCH_USER
    )


def test_the_command_of_an_alias_knows_its_name_and_domain() -> None:
    decided = route("robot+x@va.toto.fr", domain(aliases={"robot": '|/bin/run "a b", /var/log/mail'}))
    assert isinstance(decided, Accepted)
    assert decided.targets == (ToCommand('/bin/run "a b"', "va.toto.fr", "robot"), ToFile("/var/log/mail"))


@pytest.mark.parametrize("target", ["|/bin/run", "/var/log/mail", ":include:/lists/all"])
def test_commands_files_and_includes_of_a_file_that_others_write_make_mail_wait(target: str) -> None:
    here = domain(aliases={"x": target}, trusted=False, includes={"/lists/all": ["bob"]})
    assert routing.answer(route("x@va.toto.fr", here)) == Deferred(Condition.BAD_CONFIGURATION)


def test_include_lists_are_expanded() -> None:
    here = domain(aliases={"all": ":include:/lists/all"}, includes={"/lists/all": ["bob", "joe@example.org"]})
    assert targets("all@va.toto.fr", here) == [*BOB, "resend to joe@example.org"]


def test_the_owner_of_a_list_cannot_run_commands_through_it() -> None:
    here = domain(aliases={"all": ":include:/lists/all"}, includes={"/lists/all": ["bob", "|/bin/sh"]})
    assert isinstance(route("all@va.toto.fr", here), routing.Undecided)


def test_a_list_that_cannot_be_read_makes_mail_wait() -> None:
    here = domain(aliases={"all": ":include:/gone, bob"})
    assert routing.answer(route("all@va.toto.fr", here)) == Deferred(Condition.BAD_CONFIGURATION)


def test_owner_of_a_list_becomes_the_sender() -> None:
    aliases = {"list": "joe@example.org, inner", "owner-list": "bob", "inner": "ann@example.org"}
    decided = route("list@va.toto.fr", domain(aliases=aliases))
    assert isinstance(decided, Accepted)
    owner = Address("owner-list", "va.toto.fr")
    assert decided.targets == (
        Resend(Address("joe", "example.org"), owner),
        Resend(Address("ann", "example.org"), owner),
    )


def test_a_vacation_text_adds_an_automatic_reply() -> None:
    decided = route("bob@va.toto.fr", domain(autoreply=["bob"]))
    assert isinstance(decided, Accepted)
    assert decided.targets == (ToMailbox("va.toto.fr", "bob"), AutoReply("va.toto.fr", "bob"))


def test_a_disabled_domain_makes_mail_wait() -> None:
    assert routing.answer(route("bob@va.toto.fr", domain(disabled=True))) == Deferred(Condition.DOMAIN_DISABLED)


class _Unreadable:
    delimiter = "+"

    def find(self, name: str) -> Domain | None:
        if name == "va.toto.fr":
            return domain(aliases={"x": "bob@vb.toto.fr, bob"})
        raise LookupFailed(f"/etc/vmail/passwd.{name}: Input/output error")

    def bounced_to(self, local_part: str) -> Address | None:
        return None


@pytest.mark.parametrize("recipient", ["bob@vb.toto.fr", "x@va.toto.fr"])
def test_could_not_look_defers_and_never_rejects(recipient: str) -> None:
    decided = routing.route(_Unreadable(), parse_address(recipient))
    assert isinstance(decided, routing.Undecided)
    assert "Input/output error" in decided.problem
    assert routing.answer(decided) == Deferred(Condition.LOOKUP_FAILED)


@pytest.mark.parametrize("target", ["joe@example.org", "|/bin/run", "/var/log/mail"])
def test_every_kind_of_target_is_accepted(target: str) -> None:
    outcome = routing.answer(route("x@va.toto.fr", domain(aliases={"x": f"bob, {target}"})))
    assert outcome == Delivered(Condition.ACCEPTED)


def test_a_mailbox_is_accepted() -> None:
    assert routing.answer(route("bob@va.toto.fr", domain())) == Delivered(Condition.ACCEPTED)


def test_steps_say_where_each_thing_is_written_and_only_when_asked() -> None:
    here = domain(aliases={"boss": "alice"})
    decided = route("boss@va.toto.fr", here)
    sources = [str(step.source) for step in decided.steps if step.source]
    assert f"{ALIASES}:1" in sources
    assert "passwd:2" in sources
    assert routing.route(Snapshot({here.name: here}), Address("boss", here.name)).steps == ()
