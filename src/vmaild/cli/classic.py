"""The original's two programs, under their old names: `checkvdomain DOMAIN` and `testalldomain [PATH]`.

Without an argument each explains itself, as they always did.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

NAMED = ("/etc/bind/named.conf", "/etc/named.conf", "/etc/named.boot")
"""Where name servers have their configuration."""

_CHECKVDOMAIN = """\
usage: checkvdomain DOMAIN [OPTION]...

Checks one virtual domain, step by step, as an administrator would:

  1. the MX of the domain answers, and reaches this machine
  2. its mail host has an address, and that address leads back to the mail host (PTR)
  3. the address is up on this machine
  4. the POP3 server there greets in the name of the domain
  5. and what came since: IPv6, TLS, SPF, DKIM, DMARC, name servers, the MTA, files

Each finding says what was seen, why it matters and what to do. It is the same as 'vmail check DOMAIN', and takes
its options: see 'vmail check --help'."""

_TESTALLDOMAIN = """\
usage: testalldomain [NAMED-CONF | NAMED-BOOT] [OPTION]...
       testalldomain --all [OPTION]...

Takes every domain that the name server of this machine defines, includes and views followed, checks each as
checkvdomain does, and says which are right. With --all: every domain that vmaild has, whoever holds its DNS.

Name the configuration of your name server; here it is {found}. It is the same as
'vmail check --named PATH', and takes its options: see 'vmail check --help'."""


def checkvdomain() -> None:
    """The entry point; ends the process."""
    _run(_CHECKVDOMAIN, sys.argv[1:], sys.argv[1:])


def testalldomain() -> None:
    """The entry point; ends the process."""
    words = sys.argv[1:]
    given = ["--named", *words] if words and not words[0].startswith("-") else words
    found = next((path for path in NAMED if os.path.exists(path)), "not to be found")
    _run(_TESTALLDOMAIN.format(found=found), words, given)


def _run(usage: str, words: Sequence[str], given: Sequence[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0 if words else 2)
    from vmaild.cli.main import main  # noqa: PLC0415  an explanation should not take as long as a check

    sys.argv[1:] = ["check", *given]
    main()
