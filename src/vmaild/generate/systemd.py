"""The unit by which systemd runs the servers (systemd.service(5))."""

from __future__ import annotations

from string import Template

UNIT = "vmaild.service"

# No NoNewPrivileges and no ProtectSystem: programs that aliases name, and a sendmail command as the relay (setgid
# postdrop), run below this service, and the web keeps files of the MTA and of the name server, wherever those are.
_SERVICE = Template("""\
# Written once by "vmail init", and yours from then on. Better than to change it: systemctl edit $unit
[Unit]
Description=vmaild: virtual mail domains
# The addresses of the domains have to be up before the servers listen there.
Wants=network-online.target
After=network-online.target nss-user-lookup.target

[Service]
Type=exec
ExecStart="$vmail" serve
# Reads vmail.toml again; domains, accounts and aliases are read again by themselves.
ExecReload=/bin/kill -HUP $$MAINPID
# The supervisor lets sessions finish, for $drain seconds at most, and then ends its workers itself.
KillMode=mixed
TimeoutStopSec=$stop
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
LockPersonality=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
RestrictNamespaces=yes

[Install]
WantedBy=multi-user.target
""")


def service_text(vmail: str, *, drain: float) -> str:
    """The whole unit. `vmail`: the command's absolute path; `drain`: seconds that sessions have to finish."""
    path = vmail.replace("%", "%%").replace("$", "$$")  # what systemd expands (systemd.service(5), COMMAND LINES)
    return _SERVICE.substitute(unit=UNIT, vmail=path, drain=round(drain), stop=round(drain) + 15)
