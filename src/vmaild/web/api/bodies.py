"""What the API takes and gives, as OpenAPI describes it."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Problem(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    """For people, in English."""
    status: int
    remedy: str
    code: str
    """For programs: it stays the same when the texts change."""


class Strict(BaseModel):
    """A body in which nothing unknown may stand."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, values: object) -> object:
        """JSON can spell half a character (RFC 8259 section 8.2), which no file of ours can hold."""
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair is no character") from error
        return values


class DomainSettings(Strict):
    """The definition of a domain; what is absent stays, what is empty goes back to the default."""

    mail_host: str | None = None
    addresses: list[str] | None = None
    aliases: list[str] | None = None
    fallback: str | None = None
    alias_files: list[str] | None = None
    quota: str | None = Field(None, examples=["100M"])
    max_users: int | None = None
    match_full_name: bool | None = None
    certificate: str | None = None
    disabled: bool | None = None
    plain_logins: bool | None = None


class NewDomain(DomainSettings):
    """A domain; only its name is mandatory."""

    name: str


class AccountSettings(Strict):
    """What changes of an account."""

    full_name: str | None = None
    quota: str | None = Field(None, examples=["50M", "none", "default"])
    suspended: bool | None = None


class NewAccount(Strict):
    """An account; without a password nobody can log in to it."""

    login: str
    full_name: str = ""
    quota: str = ""
    password: str | None = None


class Password(Strict):
    """A new password."""

    password: str


class Targets(Strict):
    """Where an alias leads."""

    targets: list[str]


class Vacation(Strict):
    """An automatic reply; an empty text switches it off."""

    text: str
    subject: str = ""
    first_day: str = Field("", examples=["2026-12-21"])
    last_day: str = ""


class Forward(Strict):
    """Forwarding; without targets it is off."""

    targets: list[str]
    keep_copy: bool = True


class Principal(Strict):
    """`unix:alice` or `bob@va.toto.fr`."""

    principal: str


class Grant(Principal):
    """A co-administrator, with some of the rights; empty: all of them."""

    rights: list[Literal["accounts", "removal", "passwords", "aliases", "mail"]] = Field(default_factory=list)


class Backup(Strict):
    """What to take, or to put back."""

    mail: bool = False
    """Whether the mailboxes, too."""


class Plan(BaseModel):
    """What a change did, or would do."""

    changed: bool
    carried_out: bool
    summary: str
    rerouted: list[dict[str, str]]
    effects: list[str]
    warnings: list[str]
    diffs: list[str] = Field(default_factory=list)
    """Lines of files that change, where they are of the machine."""
