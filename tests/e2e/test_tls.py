"""TLS as clients do it: from the first byte and by STLS, a certificate for each domain, the domain by name."""

from __future__ import annotations

import os
import poplib
import re
import select
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.served import ADDRESSES, SHARED, Root, Served, moments, start

DOMAINS = tuple(ADDRESSES)


def make_certificate(path: Path, *names: str) -> None:
    """A self-signed certificate with its key in one PEM file."""
    key = path.with_suffix(".key")
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}",
         "-keyout", key, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made = {}
    for domain in DOMAINS:
        made[domain] = folder / f"{domain}.pem"
        make_certificate(made[domain], f"mailhost.{domain}", domain)
    return made


@pytest.fixture
def secure(
    root: Root, free_port: Callable[[], int], certificates: dict[str, Path]
) -> Iterator[tuple[Served, int]]:
    """A server with a certificate for each domain, and its port for TLS from the first byte."""
    port = free_port()
    site = root.etc / "vmail.toml"
    places = ", ".join(f'"{address}:{port}"' for address in (SHARED, *ADDRESSES.values()))
    default = root.etc / "va.toto.fr.pem"
    text = site.read_text().replace("tls_listen = []", "")
    text = text.replace(
        "[pop3]\n", f'[pop3]\ntls_listen = [{places}]\ncertificate = "/etc/vmail/{default.name}"\n'
    )
    site.write_text(text)
    for domain, certificate in certificates.items():
        (root.etc / certificate.name).write_bytes(certificate.read_bytes())
        definition = root.etc / f"domains/{domain}.toml"
        definition.write_text(f'certificate = "/etc/vmail/{certificate.name}"\n' + definition.read_text())
    server = start(root)
    yield server, port
    server.stop()
    server.check_log()


def context(certificate: Path) -> ssl.SSLContext:
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert trusting.check_hostname
    return trusting


def connect(address: str, port: int, certificate: Path, name: str) -> ssl.SSLSocket:
    return context(certificate).wrap_socket(socket.create_connection((address, port), 20), server_hostname=name)


def say(client: socket.socket, *lines: str) -> list[str]:
    """The greeting and one line of answer for each line said."""
    with client.makefile("rwb") as stream:
        answers = [stream.readline().decode()]
        for line in lines:
            stream.write(f"{line}\r\n".encode())
            stream.flush()
            answers.append(stream.readline().decode())
        return answers


def test_each_domain_shows_its_own_certificate_and_greets_as_itself(
    secure: tuple[Served, int], certificates: dict[str, Path]
) -> None:
    _, port = secure
    for domain, address in ADDRESSES.items():
        with connect(address, port, certificates[domain], f"mailhost.{domain}") as client:
            key = domain.partition(".")[0]
            answers = say(client, "USER bob", f"PASS bob-{key}", "QUIT")
            assert answers[0].startswith(f"+OK Virtual {domain} POP3 Server")
            assert answers[2].startswith("+OK maildrop has")


def test_on_a_shared_address_the_name_asked_for_settles_the_domain(
    secure: tuple[Served, int], certificates: dict[str, Path]
) -> None:
    _, port = secure
    for domain in DOMAINS:
        key = domain.partition(".")[0]
        with connect(SHARED, port, certificates[domain], f"mailhost.{domain}") as client:
            answers = say(client, "USER bob", f"PASS bob-{key}", "QUIT")
            assert answers[0].startswith(f"+OK Virtual {domain} POP3 Server")
            assert answers[2].startswith("+OK")
        wrong = "vb" if key == "va" else "va"
        with connect(SHARED, port, certificates[domain], domain) as client:
            assert say(client, "USER bob", f"PASS bob-{wrong}", "QUIT")[2].startswith("-ERR [AUTH]")
            assert client.version() in {"TLSv1.2", "TLSv1.3"}


def test_the_address_comes_before_the_name(secure: tuple[Served, int], certificates: dict[str, Path]) -> None:
    _, port = secure
    with connect(ADDRESSES["va.toto.fr"], port, certificates["vb.toto.fr"], "mailhost.vb.toto.fr") as client:
        assert say(client, "QUIT")[0].startswith("+OK Virtual va.toto.fr")


def test_stls_begins_anew(secure: tuple[Served, int], certificates: dict[str, Path]) -> None:
    server, _ = secure
    client = poplib.POP3(SHARED, server.root.pop3, timeout=20)
    assert "STLS" in client.capa()
    client.user("alice")
    client.stls(_named(certificates["vb.toto.fr"]))
    assert "STLS" not in client.capa()
    with pytest.raises(poplib.error_proto, match="USER first"):
        client.pass_("alice-vb")
    client.user("alice")
    assert client.pass_("alice-vb").startswith(b"+OK")
    client.quit()


def _named(certificate: Path) -> ssl.SSLContext:
    """A context that asks for vb.toto.fr although poplib connects to an address."""

    class Asking(ssl.SSLContext):
        def wrap_socket(self, *arguments: object, **options: object) -> ssl.SSLSocket:
            options["server_hostname"] = "vb.toto.fr"
            return super().wrap_socket(*arguments, **options)  # type: ignore[arg-type]

    asking = Asking(ssl.PROTOCOL_TLS_CLIENT)
    asking.load_verify_locations(str(certificate))
    return asking


def test_what_was_sent_in_clear_before_tls_is_forgotten(
    secure: tuple[Served, int], certificates: dict[str, Path]
) -> None:
    server, _ = secure
    with socket.create_connection((ADDRESSES["va.toto.fr"], server.root.pop3), 20) as plain:
        assert plain.recv(1000).startswith(b"+OK Virtual")
        plain.sendall(b"STLS\r\nUSER bob\r\nPASS bob-va\r\nDELE 1\r\nQUIT\r\n")
        assert plain.recv(1000) == b"+OK begin TLS\r\n"
        with context(certificates["va.toto.fr"]).wrap_socket(plain, server_hostname="va.toto.fr") as client:
            client.sendall(b"NOOP\r\n")
            assert client.recv(1000) == b"-ERR log in first\r\n"


def test_a_renewed_certificate_needs_no_restart(secure: tuple[Served, int], tmp_path: Path) -> None:
    server, port = secure
    renewed = tmp_path / "renewed.pem"
    make_certificate(renewed, "va.toto.fr")
    path = server.root.etc / "va.toto.fr.pem"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(renewed.read_bytes())
    os.replace(fresh, path)
    for _ in moments("the renewed certificate is not shown"):
        try:
            with connect(ADDRESSES["va.toto.fr"], port, renewed, "va.toto.fr") as client:
                assert say(client, "QUIT")[0].startswith("+OK")
                break
        except ssl.SSLError:
            continue


def test_a_client_that_speaks_no_tls_costs_nobody_else_anything(
    secure: tuple[Served, int], certificates: dict[str, Path]
) -> None:
    _, port = secure
    address = ADDRESSES["va.toto.fr"]
    silent = [socket.create_connection((address, port), 20) for _ in range(20)]
    for client in silent[:10]:
        client.sendall(b"USER bob\r\n")
    with connect(address, port, certificates["va.toto.fr"], "va.toto.fr") as client:
        assert say(client, "QUIT")[0].startswith("+OK")
    for client in silent:
        client.close()


def test_handshakes_that_never_come_count_as_connections(
    secure: tuple[Served, int], certificates: dict[str, Path]
) -> None:
    served, port = secure
    address = ADDRESSES["va.toto.fr"]
    site = served.root.etc / "vmail.toml"
    text = re.sub(r"(?m)^(# )?trusted = .*", "trusted = []", site.read_text())
    site.write_text(text.replace("[pop3]\n", "[pop3]\nmax_connections_per_address = 5\n"))
    old = set(served.workers())
    served.signal(signal.SIGHUP)
    for _ in moments("workers with the limit do not serve alone"):
        if served.workers() and not old & set(served.workers()):
            break
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((address, port), 20, ("127.0.0.77", 0)))
            for _ in range(20)
        ]
        for _ in moments("more than five at each of two workers may wait"):
            if len(select.select(silent, [], [], 0)[0]) >= 10:
                break
        time.sleep(0.2)
        assert len(select.select(silent, [], [], 0)[0]) <= 15, "those within the limit wait"
    with connect(address, port, certificates["va.toto.fr"], "va.toto.fr") as client:
        assert say(client, "QUIT")[0].startswith("+OK"), "who comes from elsewhere is served"


def test_sasl_and_languages_are_served(demo: Root) -> None:
    with socket.create_connection((ADDRESSES["va.toto.fr"], demo.pop3), 20) as client:
        answers = say(client, "LANG fr", "AUTH PLAIN AGJvYgBib2ItdmE=", "LAST", "QUIT")
        assert answers[1].startswith("+OK fr")
        assert answers[2].startswith("+OK")
        assert answers[3] == "+OK 0\r\n"
