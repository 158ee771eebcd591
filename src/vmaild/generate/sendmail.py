r"""The settings of Sendmail: a file of our own, which sendmail.mc includes.

It holds a mailer, the rule of ruleset 0 that gives it the mail of our domains, and a Local_check_rcpt that
refuses unknown recipients at RCPT. Which domains are ours is read from a plain file at each look-up, so neither
makemap nor a restart is needed when one comes or goes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from vmaild.generate.mta import Conflict, Piece, Wired, Wiring, own_file, with_block, without_block

_COMMENT = "dnl #"

# What Local_check_rcpt answers ends all checks, those that FEATURE(delay_checks) has put off included: it makes
# them itself. Tabs part the sides of a rule (op.me section 5.1): every one below is one.
_RULES = """\
LOCAL_CONFIG
Kvmaildomains text -k0 -v0 {domains}
Krecipients socket -T<TMPF> local:{socketmap}

LOCAL_RULE_0
R$+ < @ $+ >\t\t\t$: < $2 > $| $1 < @ $2 >
R< $+ . > $| $*\t\t\t$: < $1 > $| $2
R< $+ > $| $*\t\t\t$: < $( vmaildomains $1 $: @ $) > $| $2
R< @ > $| $*\t\t\t$: $1
R< $+ > $| $+ < @ $+ . >\t$#vmail $@ $1 $: $2 < @ $1 . >
R< $+ > $| $+ < @ $+ >\t\t$#vmail $@ $1 $: $2 < @ $1 . >

LOCAL_RULESETS
SLocal_check_rcpt
R$*\t\t\t\t$: $1 $| $>CanonAddr $1
R$* $| $+ < @ $+ . >\t\t$: $1 $| $2 < @ $3 >
R$* $| $+ < @ $+ >\t\t$: $1 $| $2 @ $3 $| $( vmaildomains $3 $: @ $)
R$* $| $+ $| @\t\t\t$@ $1
R$* $| $+ @ $+ $| $+\t\t$: < $( recipients $2 @ $3 $: @ $) >
R< $* <TMPF> >\t\t\t$#error $@ 4.3.0 $: "451 Could not look up the recipient, try again later"
R< @ >\t\t\t\t$#error $@ 5.1.1 $: "550 No such user here"
ifdef(`_DELAY_CHECKS_', `dnl
R< $+ >\t\t\t\t$: < $1 > $| $>checkmail <$&f>
R< $+ > $| $#$*\t\t\t$#$2
R< $+ > $| $*\t\t\t$: < $1 > $| $>checkrelay $&{client_name} $| $&{client_addr}
R< $+ > $| $#$*\t\t\t$#$2
R< $+ > $| $*\t\t\t$: < $1 >
', `dnl')
R< $+ >\t\t\t\t$# OK

MAILER_DEFINITIONS
"""
_LMTP = """\
Mvmail,\tP=[IPC], F=DFMXlmnqz8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, r=100,
\tT=DNS/RFC822/SMTP, A=FILE {lmtp}
"""
_VDELIVER = """\
Mvmail,\tP={vdeliver}, F=DFMSln8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, {user}
\tT=DNS/RFC822/X-Unix, A=vdeliver {root}-f $g -- $u
"""
"""After `--` a recipient that begins with a dash is no option; a domain with a fallback accepts such ones.

F=S: always as U=. Else a local sender, or the owner of a .forward(5), counts more (op.me section 5.4).
"""


def sendmail_pieces(wiring: Wiring) -> tuple[Piece, ...]:
    """What has to stand where."""
    mailer = _VDELIVER if wiring.vdeliver else _LMTP
    user = f"U={wiring.user}," if wiring.user else ""
    rules = _RULES.replace("{domains}", wiring.domains).replace("{socketmap}", wiring.socketmap)
    root = f"--root {wiring.root} " if wiring.root else ""
    body = rules + mailer.format(lmtp=wiring.lmtp, vdeliver=wiring.vdeliver, user=user, root=root)
    ours = f"{wiring.folder}/vmail.m4"
    return (
        Piece(ours, own_file(f"divert(0)dnl\n{body}", "divert(-1)\n#")),
        Piece(f"{wiring.folder}/sendmail.mc", f"include(`{ours}')dnl\n", "at the end"),
    )


def wired_sendmail(wiring: Wiring, files: Mapping[str, str | None], domains: Collection[str]) -> Wired:
    """The files as they are to be, from those that are there. Raises Conflict."""
    ours, included = sendmail_pieces(wiring)
    text = files.get(included.path)
    if text is None:
        raise Conflict(f"{included.path} does not exist", "install Sendmail, or name its folder with --config-dir")
    if re.search(r"^SLocal_check_rcpt\b", without_block(text, _COMMENT), re.MULTILINE):
        raise Conflict(
            f"{included.path} has a Local_check_rcpt already",
            "merge it with what 'vmail mta show sendmail' prints",
        )
    warnings = []
    names = f"{wiring.folder}/local-host-names"
    both = sorted(set((files.get(names) or "").lower().split()) & set(domains))
    if both:
        warnings.append(f"{names} names {', '.join(both)}: Sendmail delivers it itself; take it out there")
    return Wired(
        {ours.path: ours.text, included.path: with_block(text, included.text, comment=_COMMENT)},
        (f"m4 {included.path} > {wiring.folder}/sendmail.cf", "systemctl restart sendmail"),
        tuple(warnings),
    )
