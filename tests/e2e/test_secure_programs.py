"""Real mail programs under TLS, those that look at a server from outside, and Thunderbird's way of polling."""

from __future__ import annotations

import base64
import mailbox
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.clients import Pop3, fetch, password_of, send
from tests.served import ADDRESSES, SHARED, Root, Served, copy_root, run, start

FIRST = b"From: carol@sender.example\r\nSubject: First\r\n\r\nHello Bob.\r\n.hidden\r\n.\r\n\r\nBye.\r\n"
SECOND = "From: noel@sender.example\r\nSubject: Noël\r\n\r\nÀ bientôt.\r\n".encode()
BOB, DOMAIN = "bob@vb.toto.fr", "vb.toto.fr"
HERE = ADDRESSES[DOMAIN]


@dataclass(frozen=True, slots=True)
class Secure:
    """A running server under TLS."""

    root: Root
    pop3s: int
    """Its port for TLS from the first octet."""

    def certificate(self, domain: str = DOMAIN) -> Path:
        """What a client of a domain trusts, and nothing else."""
        return self.root.etc / f"{domain}.pem"


def make_certificate(path: Path, domain: str) -> None:
    """A self-signed certificate of a domain with its key in one PEM file."""
    names = f"subjectAltName=DNS:mailhost.{domain},DNS:{domain},IP:{ADDRESSES[domain]}"
    key = path.with_suffix(".key")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", f"/CN=mailhost.{domain}", "-addext", names, "-keyout", key, "-out", path,
        check=True)  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()


@pytest.fixture(scope="module")
def _secure(
    _demo: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[tuple[Served, int]]:
    """A server with a certificate for each domain, and one port for TLS at every address."""
    root = copy_root(_demo, tmp_path_factory.mktemp("t") / "root", [free_port() for _ in range(3)])
    port = free_port()
    for domain in ADDRESSES:
        make_certificate(root.etc / f"{domain}.pem", domain)
        definition = root.etc / f"domains/{domain}.toml"
        definition.write_text(f'certificate = "/etc/vmail/{domain}.pem"\n' + definition.read_text())
    places = ", ".join(f'"{address}:{port}"' for address in (SHARED, *ADDRESSES.values()))
    site = root.etc / "vmail.toml"
    text = re.sub(r"(?m)^(# )?tls_listen = .*", f"tls_listen = [{places}]", site.read_text())
    site.write_text(re.sub(r"(?m)^(# )?certificate = .*", 'certificate = "/etc/vmail/va.toto.fr.pem"', text))
    server = start(root)
    yield server, port
    server.stop()


@pytest.fixture
def secure(_secure: tuple[Served, int]) -> Iterator[Secure]:
    """That server, with two messages for Bob."""
    server, port = _secure
    server.root.empty()
    for message in (FIRST, SECOND):
        assert send(server.root, message, BOB)[0].startswith("250")
    yield Secure(server.root, port)
    server.check_log()


def lf(message: bytes) -> bytes:
    """The message as programs keep it on disk."""
    return message.replace(b"\r\n", b"\n")


@pytest.fixture(params=["POP3S", "STLS"])
def direct(request: pytest.FixtureRequest) -> bool:
    """Whether TLS is spoken from the first octet, or after STLS."""
    return bool(request.param == "POP3S")


@pytest.mark.parametrize("mechanism", ["*", "PLAIN", "LOGIN"])
def test_curl(secure: Secure, direct: bool, mechanism: str) -> None:
    scheme, port = ("pop3s", secure.pop3s) if direct else ("pop3", secure.root.pop3)
    host = f"mailhost.{DOMAIN}"
    curl = ["curl", "--silent", "--show-error", "--ssl-reqd", "--user", f"bob:{password_of(BOB)}",
            "--login-options", f"AUTH={mechanism}", "--resolve", f"{host}:{port}:{SHARED}"]  # fmt: skip
    trusting = [*curl, "--cacert", str(secure.certificate())]
    stored = fetch(secure.root, BOB)
    # At the shared address: the name that it asks for settles which bob is meant.
    listed = run(*trusting, f"{scheme}://{host}:{port}/", check=True).stdout.split()
    assert listed == ["1", str(len(stored[0])), "2", str(len(stored[1]))]
    assert run(*trusting, f"{scheme}://{host}:{port}/2", check=True).stdout.encode() == stored[1]
    other = run(*curl, "--cacert", str(secure.certificate("va.toto.fr")), f"{scheme}://{host}:{port}/")
    assert other.returncode == 60  # not the certificate that it trusts


@pytest.mark.parametrize("auth", ["user", "plain", "login"])
def test_mpop(secure: Secure, direct: bool, auth: str, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    mailbox.Maildir(inbox)
    settings = tmp_path / "mpoprc"
    settings.write_text(
        f"account demo\nhost {HERE}\nport {secure.pop3s if direct else secure.root.pop3}\n"
        f"tls on\ntls_starttls {'off' if direct else 'on'}\ntls_trust_file {secure.certificate()}\nauth {auth}\n"
        f"user bob\npassword {password_of(BOB)}\nuidls_file {tmp_path}/uidls\n"
        f"delivery maildir {inbox}\nreceived_header off\nkeep off\n"
    )
    settings.chmod(0o600)
    stored = sorted(map(lf, fetch(secure.root, BOB)))
    run("mpop", "-C", settings, "demo", check=True)
    assert sorted(lf(each.as_bytes()) for each in mailbox.Maildir(inbox, create=False)) == stored
    assert fetch(secure.root, BOB) == []


def test_fetchmail(secure: Secure, direct: bool, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    settings = tmp_path / "fetchmailrc"
    how = "ssl" if direct else 'sslproto "TLS1.2+"'
    settings.write_text(
        f"set no syslog\npoll {HERE} protocol pop3 port {secure.pop3s if direct else secure.root.pop3}\n"
        f'  auth password user "bob" password "{password_of(BOB)}" {how}\n'
        f'  sslcertck sslcertfile "{secure.certificate()}" sslcommonname "mailhost.{DOMAIN}"\n'
        f'  fetchall no keep no rewrite mda "cat >>{inbox}; echo END >>{inbox}"\n'
    )
    settings.chmod(0o600)
    stored = fetch(secure.root, BOB)
    done = run("fetchmail", "--fetchmailrc", settings, "--pidfile", tmp_path / "pid", "--invisible")
    assert done.returncode == 0, done.stdout + done.stderr
    assert inbox.read_bytes().split(b"END\n")[:-1] == [lf(message) for message in stored]
    assert fetch(secure.root, BOB) == []


def test_getmail(secure: Secure, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (tmp_path / "getmailrc").write_text(
        "[retriever]\ntype = SimplePOP3SSLRetriever\n"
        f"server = {HERE}\nport = {secure.pop3s}\nca_certs = {secure.certificate()}\n"
        f"username = bob\npassword = {password_of(BOB)}\n"
        "[destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = True\n"
        f'arguments = ("-c", "cat >>{inbox}; echo END >>{inbox}")\n'
        "[options]\ndelete = True\nreceived = False\ndelivered_to = False\n"
    )
    stored = fetch(secure.root, BOB)
    done = run("getmail", "--getmaildir", tmp_path, "--rcfile", "getmailrc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert inbox.read_bytes().split(b"END\n")[:-1] == [lf(message) for message in stored]
    assert fetch(secure.root, BOB) == []


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client(secure: Secure, direct: bool, version: str) -> None:
    how = ["-connect", f"{SHARED}:{secure.pop3s}"] if direct else []
    how = how or ["-connect", f"{SHARED}:{secure.root.pop3}", "-starttls", "pop3"]
    said = f"USER bob\nPASS {password_of(BOB)}\nSTAT\nTOP 1 0\nQUIT\n"
    done = run("openssl", "s_client", *how, version, "-servername", DOMAIN, "-verify_hostname", DOMAIN,
               "-CAfile", secure.certificate(), "-verify_return_error", "-quiet", "-crlf", stdin=said)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Subject: First" in done.stdout
    assert done.stdout.count("+OK") == (6 if direct else 5)  # the greeting before STLS is not shown
    old = run("openssl", "s_client", *how, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", stdin="")
    assert old.returncode != 0, "RFC 8996: TLS 1.1 is not to be spoken"
    assert "alert protocol version" in old.stderr, "and who asks for it is told why"


def test_mutt(secure: Secure, direct: bool, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    settings = tmp_path / "muttrc"
    settings.write_text(
        f"set pop_user=bob\nset pop_pass={password_of(BOB)}\nset ssl_starttls=yes\nset ssl_force_tls=yes\n"
        f"set ssl_ca_certificates_file={secure.certificate()}\nset certificate_file={secure.certificate()}\n"
        "set confirmappend=no\nset confirmcreate=no\nset delete=yes\nset quit=yes\nset move=no\n"
        f"set wait_key=no\nset mbox_type=mbox\nset record=\nset spoolfile={inbox}\nset folder={tmp_path}\n"
    )
    url = f"pops://bob@{HERE}:{secure.pop3s}/" if direct else f"pop://bob@{HERE}:{secure.root.pop3}/"
    save = f"<save-message>{inbox}<enter>"  # which goes on to the next message
    mutt = f"mutt -n -F {settings} -e 'push \"<first-entry>{save}{save}<quit>\"' -f {url}"
    stored = fetch(secure.root, BOB)
    # It wants a terminal: script(1) gives it one.
    done = run("env", "-i", "TERM=vt100", f"HOME={tmp_path}", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8",
               "timeout", "20", "script", "-qec", mutt, "/dev/null")  # fmt: skip
    assert done.returncode == 0, repr(done.stdout)
    with closing(mailbox.mbox(inbox, create=False)) as saved:
        bodies = [message.get_payload(decode=True) for message in saved]
    assert bodies == [lf(message).partition(b"\n\n")[2] for message in stored]
    assert fetch(secure.root, BOB) == []


def test_nmap_sees_what_is_offered(secure: Secure) -> None:
    scripts = "+pop3-capabilities,+pop3-ntlm-info"  # +: although the port is not 110
    port = str(secure.root.pop3)
    done = run("nmap", "-n", "-Pn", "-sT", "-p", port, "--script", scripts, HERE, check=True)
    (seen,) = re.findall(r"pop3-capabilities: (.*)", done.stdout) or [done.stdout]
    for capability in ("STLS", "USER", "UIDL", "TOP", "PIPELINING", "SASL(PLAIN LOGIN)", "RESP-CODES"):
        assert capability in seen, done.stdout
    assert "ntlm" not in done.stdout.lower().replace("pop3-ntlm-info", ""), "no NTLM, nothing told"


class Thunderbird(Pop3):
    """What Thunderbird says, in its order (nsPop3Protocol.cpp)."""

    def begin(self, root: Secure) -> None:
        """CAPA, STLS, CAPA anew, its language, AUTH PLAIN with a challenge."""
        assert "STLS" in self.block("CAPA").decode().split()
        assert self.ask("STLS").startswith("+OK")
        trusting = ssl.create_default_context(cafile=str(root.certificate()))
        self._reader.close()
        self.socket = trusting.wrap_socket(self.socket, server_hostname=DOMAIN)
        self._reader = self.socket.makefile("rb")
        offered = self.block("CAPA").decode()
        assert "STLS" not in offered.split()
        assert "SASL PLAIN LOGIN\r\n" in offered
        assert self.ask("LANG fr").startswith("+OK fr")
        assert self.ask("UTF8").startswith("+OK")
        assert self.ask("AUTH PLAIN").startswith("+ ")
        assert self.ask(base64.b64encode(b"\0bob\0" + password_of(BOB).encode()).decode()).startswith("+OK")


def test_a_session_of_thunderbird(secure: Secure) -> None:
    for number in range(60):
        assert send(secure.root, SECOND + b"%d\r\n" % number, BOB)[0].startswith("250")
    stored = fetch(secure.root, BOB)
    with Thunderbird((SHARED, secure.root.pop3)) as session:
        session.begin(secure)
        assert session.ask("STAT") == f"+OK 62 {sum(map(len, stored))}"
        sizes = [int(line.split()[1]) for line in session.block("LIST").splitlines()]
        assert sizes == [len(message) for message in stored]
        uids = [line.split()[1] for line in session.block("UIDL").splitlines()]
        assert len(set(uids)) == 62
        assert session.ask("XTND XLST Message-Id").startswith("-ERR"), "where UIDL is not known; tolerated"
        for place, message in enumerate(stored, 1):  # "fetch headers only", then the messages themselves
            header = message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            assert session.block(f"TOP {place} 0") == header
            assert session.block(f"RETR {place}") == message
        for place in range(1, 62):
            assert session.ask(f"DELE {place}").startswith("+OK")
        assert session.ask("QUIT").startswith("+OK")
    assert fetch(secure.root, BOB) == stored[61:]
