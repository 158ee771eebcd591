"""The verbs of the desk: plain values in, plain values out; each calls what the command line calls."""

from __future__ import annotations

from collections.abc import Mapping

from vmaild.admin.answers import accounts, aliases, domains, machine, own, site
from vmaild.admin.answers.values import Verb

VERBS: Mapping[str, Verb] = {
    **domains.VERBS,
    **accounts.VERBS,
    **aliases.VERBS,
    **site.VERBS,
    **machine.VERBS,
    **own.VERBS,
}
