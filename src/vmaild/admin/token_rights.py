"""What a token of the API may be limited to, and the verbs that belong to each right."""

from __future__ import annotations

RIGHTS = {
    "read": {
        "who",
        "domains",
        "domain",
        "users",
        "user",
        "aliases",
        "explain",
        "check",
        "check.show",
        "check.progress",
        "audit",
        "own",
        "addresses",
        "backups",
        "backup.progress",
    },
    "accounts": {"user.add", "user.set", "user.remove", "user.vacation", "user.forward"},
    "passwords": {"user.password"},
    "aliases": {"alias.add", "alias.set", "alias.remove"},
    "domains": {"domain.add", "domain.set", "domain.remove", "admin.grant", "admin.revoke"},
    "checks": {"check.start"},
    "machine": {"check.fix", "address.apply"},
    "backups": {"backup.make"},
    "restore": {"backup.restore", "backup.remove"},
}
