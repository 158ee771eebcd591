"""Messages as they are met: some 300 of them, made anew for each run and always the same.

Each is what a sending program has in its hands: bytes with CRLF line ends, except where the case is about
other line ends. Nothing here knows what vmaild does with them.
"""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Sample:
    """One message: what is special about it, and its content."""

    name: str
    content: bytes


def corpus() -> list[Sample]:
    """All samples, each with a name of its own, in an order that never changes."""
    samples = [sample for family in FAMILIES for sample in family()]
    names = [sample.name for sample in samples]
    assert len(set(names)) == len(names)
    return samples


# The parts that messages are put together from.


def header(subject: bytes = b"Sample", *more: bytes) -> bytes:
    """A header without the empty line that ends it."""
    fields = [
        b"Date: Thu, 13 Feb 2025 09:26:53 +0100",
        b"From: Carol Example <carol@sender.example>",
        b"To: bob@va.toto.fr",
        b"Subject: " + subject,
        *more,
    ]
    return b"".join(field + CRLF for field in fields)


def message(name: str, body: bytes, *more: bytes) -> Sample:
    """A message with the usual header and `more` fields."""
    return Sample(name, header(name.encode("ascii"), *more) + CRLF + body)


def lines(*texts: bytes) -> bytes:
    """Whole lines."""
    return b"".join(text + CRLF for text in texts)


def wrapped(data: bytes) -> bytes:
    """Base64 in lines of 76, as RFC 2045 6.8 asks for."""
    return base64.encodebytes(data).replace(b"\n", CRLF)


def quoted(data: bytes) -> bytes:
    """Quoted-printable (RFC 2045 6.7)."""
    return quopri.encodestring(data).replace(b"\r\n", b"\n").replace(b"\n", CRLF)


def part(content_type: bytes, body: bytes, *more: bytes) -> bytes:
    """A MIME body part."""
    return lines(b"Content-Type: " + content_type, *more) + CRLF + body


def multipart(subtype: bytes, boundary: bytes, parts: list[bytes], preamble: bytes = b"") -> tuple[bytes, bytes]:
    """A multipart body and the field that announces it."""
    delimiter = b"--" + boundary
    body = preamble + b"".join(delimiter + CRLF + each + CRLF for each in parts) + delimiter + b"--" + CRLF
    return body, b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"'


# Families.

TEXTS = {
    "english": ("The quick brown fox jumps over the lazy dog.\r\nRegards,\r\nCarol\r\n", ["us-ascii"]),
    "french": (
        "Bonjour, à bientôt ! L'été dernier, Noël et Zoë fêtaient ça.\r\nCœur brisé, naïf.\r\n",
        ["utf-8", "iso-8859-15", "windows-1252"],
    ),
    "german": ("Grüße aus Köln, schöne Straße.\r\n", ["utf-8", "iso-8859-1", "windows-1252"]),
    "polish": ("Zażółć gęślą jaźń.\r\n", ["utf-8", "iso-8859-2", "windows-1250"]),
    "greek": ("Καλημέρα κόσμε.\r\n", ["utf-8", "iso-8859-7"]),
    "russian": ("Съешь же ещё этих мягких булок.\r\n", ["utf-8", "koi8-r", "windows-1251", "iso-8859-5"]),
    "hebrew": ("שלום עולם\r\n", ["utf-8", "iso-8859-8"]),
    "arabic": ("مرحبا بالعالم\r\n", ["utf-8", "windows-1256"]),
    "japanese": ("こんにちは、世界。\r\n", ["utf-8", "iso-2022-jp", "shift_jis", "euc-jp"]),
    "chinese": ("你好,世界\r\n", ["utf-8", "gb18030", "big5", "hz"]),
    "korean": ("안녕하세요\r\n", ["utf-8", "euc-kr", "iso-2022-kr"]),
    "thai": ("สวัสดีชาวโลก\r\n", ["utf-8", "tis-620"]),
    "emoji": ("All well? 👍🏽 👩‍👩‍👧 🇫🇷\r\n", ["utf-8", "utf-7"]),
}


def languages() -> Iterator[Sample]:
    """Texts of many scripts, in each of their character sets and each transfer encoding."""
    for language, (text, charsets) in TEXTS.items():
        for charset in charsets:
            data = text.encode(charset)
            for encoding, body in (("8bit", data), ("quoted-printable", quoted(data)), ("base64", wrapped(data))):
                yield message(
                    f"{language} {charset} {encoding}",
                    body,
                    b"MIME-Version: 1.0",
                    f"Content-Type: text/plain; charset={charset}".encode("ascii"),
                    f"Content-Transfer-Encoding: {encoding}".encode("ascii"),
                )


def headers() -> Iterator[Sample]:
    """Header fields as standards and sins have them."""
    body = lines(b"See the header.")
    for encoding in ("utf-8", "iso-8859-1"):
        words = Header("Réunion à l'hôtel, très chère " * 6, encoding).encode(linesep="\r\n")
        yield Sample(f"encoded words {encoding}", header(words.encode("ascii")) + CRLF + body)
    fields = {
        "folded with spaces": b"X-Long: one\r\n two\r\n   three",
        "folded with tabs": b"References: <a@b.example>\r\n\t<c@d.example>\r\n\t<e@f.example>",
        "fold of white space only": b"X-Odd: before\r\n \r\n after",
        "empty field": b"X-Empty:",
        "no space after the colon": b"X-Tight:value",
        "space before the colon": b"X-Obsolete : value",
        "odd case": b"sUBJECT: again",
        "trailing white space": b"X-Trail: value   \t ",
        "utf-8 in a field": "X-Name: Zoë Łuczak <zoë@exemple.example>".encode(),
        "latin-1 in a field": "X-Name: Zoë".encode("latin-1"),
        "control characters in a field": b"X-Control: a\x01b\x07c\x1b[31m",
        "NUL in a field": b"X-Nul: a\0b",
        "bare CR in a field": b"X-Cr: a\rb",
        "a line that is no field": b"this line has no name and no end",
        "a field of 998 octets": b"X-Long: " + b"x" * 990,
        "a field of 60000 octets": b"X-Long: " + b"y " * 30000,
        "500 Received fields": CRLF.join(
            b"Received: from h%d.example by h%d.example" % (n, n + 1) for n in range(500)
        ),
        "2000 recipients": b"Cc: " + b",\r\n ".join(b"user%d@list.example" % n for n in range(2000)),
        "a group": b"Cc: undisclosed-recipients:;",
        "comments": b"X-Date: Thu (a (nested) comment), 13 Feb 2025 (\\) too)",
        "quoted names": b'Reply-To: "Carol \\"C.\\" Example, Ltd." <"car ol"@sender.example>',
        "fields that delivery adds, too": b"Return-Path: <old@relay.example>\r\nDelivered-To: him@else.example",
        "a dot as the value": b"X-Dot: .",
        "a fold that is a dot": b"X-Dot: before\r\n .",
    }
    for name, field in fields.items():
        yield message(name, body, field)
    yield Sample("no header at all", CRLF + body)
    yield Sample("no header and no empty line", b"Just a text.\r\nIt goes on.\r\n")
    yield Sample(
        "mbox line first", b"From carol@sender.example Thu Feb 13 09:26:53 2025\r\n" + header() + CRLF + body
    )
    yield Sample("fold in the first line", b" folded from nothing\r\n" + header() + CRLF + body)


def ends() -> Iterator[Sample]:
    """Where messages stop, and what is left out."""
    yield Sample("nothing", b"")
    yield Sample("one line end", CRLF)
    yield Sample("one octet", b"x")
    yield Sample("one dot", b".")
    yield Sample("header without an empty line", header())
    yield Sample("header without its last line end", header().removesuffix(CRLF))
    yield Sample("empty body", header() + CRLF)
    yield message("no final line end", b"The last line stops here")
    yield message("no final line end after 8 bits", "à bientôt".encode())
    yield message("ends with CR", b"The last line stops here\r")
    yield message("ends with LF", b"The last line stops here\n")
    yield message("ends with a dot line", lines(b"text", b"."))
    yield message("ends with a dot and no line end", lines(b"text") + b".")
    yield message("ends with 50 empty lines", lines(b"text", *[b""] * 50))
    yield message("only empty lines", CRLF * 100)
    yield message("ends with white space", b"text   \r\n  \t \r\n")


def dots() -> Iterator[Sample]:
    """Lines that begin with dots: RFC 5321 4.5.2 and RFC 1939 section 3 stuff them."""
    for name, dotted in {
        "lone dot": [b"before", b".", b"after"],
        "lone dot first": [b".", b"after"],
        "two dots": [b"..", b"..."],
        "dot and text": [b".hidden", b"..profile", b". spaced"],
        "many lone dots": [b"."] * 200,
        "dot and white space": [b". ", b".\t", b" ."],
        "dialogue inside": [b"DATA", b"354 go", b".", b"QUIT", b"250 ok", b"+OK", b"-ERR no"],
    }.items():
        yield message(name, lines(*dotted))
    yield message("dot between bare line feeds", b"a\n.\nb\r\n")
    yield message("dot between bare LF and CRLF", b"a\n.\r\nb\r\n")
    yield message("dot between CRLF and bare LF", b"a\r\n.\nb\r\n")
    yield message("dot between bare CRs", b"a\r.\rb\r\n")
    yield message("dot after CR CR LF", b"a\r\r\n.\r\nb\r\n")


def line_ends() -> Iterator[Sample]:
    """Line ends as they should not be, and are."""
    yield message("bare LF throughout", b"one\ntwo\n\nthree\n")
    yield Sample("bare LF in header and body", header().replace(CRLF, b"\n") + b"\none\ntwo\n")
    yield message("bare CR in text", b"progress 10%\rprogress 20%\rdone\r\n")
    yield message("CR CR LF", b"one\r\r\ntwo\r\r\n")
    yield message("CR CR CR LF", b"one\r\r\r\ntwo\r\n")
    yield message("LF CR", b"one\n\rtwo\n\r")
    yield message("mixed", b"one\ntwo\r\nthree\rfour\r\n\nfive\n\r\n")
    yield message("a CR each line", b"\r\r\n" * 40)
    yield message("form feeds and tabs", b"page one\x0c\r\n\tpage two\x0b\r\n")
    yield message("unicode line ends", "one\u2028two\u2029three\u0085four\r\n".encode())


def octets() -> Iterator[Sample]:
    """Octets that are no text."""
    yield message("NUL", b"before\0after\r\n\0\r\n\0\0\0\r\n")
    yield message("NULs only", b"\0" * 5000)
    yield message("every octet", bytes(range(256)) + CRLF)
    yield message("every pair of octets", b"".join(bytes((a, b)) for a in range(256) for b in range(256)))
    yield message("bad utf-8", b"\xc3\x28 \xff\xfe \xed\xa0\x80\r\n")
    yield message("utf-16", "\ufeffRéunion\r\n".encode("utf-16-le"), b"Content-Type: text/plain; charset=utf-16")
    yield message("terminal escapes", b"\x1b[2J\x1b[31mred\x1b[0m\x07\r\n")
    yield message("delete and backspace", b"a\x08b\x7fc\r\n")
    noise = random.Random(1939)
    for size in (1, 2, 63, 1000, 4096, 30000, 70000):
        yield message(f"noise of {size}", noise.randbytes(size))
    alphabet = [b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"\0", b"x", b"From ", "é".encode()]
    for number in range(20):
        yield message(f"line end noise {number}", b"".join(noise.choices(alphabet, k=400)))


def sizes() -> Iterator[Sample]:
    """Lengths at which buffers end."""
    for length in (76, 78, 510, 512, 998, 999, 1000, 2047, 2048, 4096, 8192, 65536, 100_000):
        yield message(f"a line of {length}", lines(b"x" * length, b"." * length))
    for length in (4095, 4096, 4097, 8192, 16384, 65535, 65536, 65537, 131072, 262143, 262144, 262145):
        text = b"%09d the line is as long as this\r\n"
        body = b"".join(text % number for number in range(length // 42 + 1))
        yield message(f"a body of {length}", body[:length])
    for length in (1000, 20000):
        yield message(f"{length} short lines", b"x\r\n" * length)
    yield message("100000 empty lines", CRLF * 100_000)
    yield message("an 8-bit line of 100000", "é".encode() * 50_000 + CRLF)


def mime() -> Iterator[Sample]:
    """What mail programs put together."""
    version = b"MIME-Version: 1.0"
    text = part(b"text/plain; charset=utf-8", "Voilà.\r\n".encode(), b"Content-Transfer-Encoding: 8bit")
    html = part(
        b"text/html; charset=utf-8",
        quoted("<html><body><p style='color: red'>Voilà.</p></body></html>\r\n".encode()),
        b"Content-Transfer-Encoding: quoted-printable",
    )
    noise = random.Random(2045)
    image = part(
        b'image/png; name="logo.png"',
        wrapped(b"\x89PNG\r\n\x1a\n" + noise.randbytes(3000)),
        b"Content-Transfer-Encoding: base64",
        b"Content-ID: <logo@sender.example>",
    )
    for subtype, parts in {
        "mixed": [text, image],
        "alternative": [text, html],
        "related": [html, image],
        "parallel": [text, image],
        "digest": [CRLF + header(b"Digest %d" % number) + CRLF + b"text\r\n" for number in range(5)],
        "form-data": [lines(b'Content-Disposition: form-data; name="x"', b"", b"y")],
        "byteranges": [text],
        "x-unknown": [text, html],
    }.items():
        body, field = multipart(subtype.encode("ascii"), b"=_" + subtype.encode("ascii"), parts)
        yield message(f"multipart {subtype}", body, version, field)
    for depth in (2, 5, 20):
        inner = text
        for level in range(depth):
            body, field = multipart(b"mixed", b"level%d" % level, [inner, image if level == 0 else text])
            inner = part(field.removeprefix(b"Content-Type: "), body)
        yield message(f"nested {depth} deep", body, version, field)
    body, field = multipart(b"mixed", b"end", [text], b"This is a message in MIME format.\r\n")
    yield message("preamble and epilogue", body + b"Epilogue.\r\n", version, field)
    yield message("no closing boundary", body.replace(b"--end--", b""), version, field)
    yield message("no such boundary", body.replace(b"--end", b"--other"), version, field)
    body, field = multipart(b"mixed", b"a boundary with 'spaces' (and more)?=.,+_/:", [text, b"", CRLF])
    yield message("odd boundary and empty parts", body, version, field)
    body, field = multipart(b"mixed", b"." * 60, [text])
    yield message("boundary of dots", body, version, field)
    for name, size in {"small": 10, "of 100 kB": 100_000, "of 1 MB": 1_000_000}.items():
        attachment = part(
            b"application/octet-stream",
            wrapped(noise.randbytes(size)),
            b"Content-Transfer-Encoding: base64",
            b"Content-Disposition: attachment;\r\n filename*0*=utf-8''r%C3%A9sum%C3%A9;\r\n filename*1=.pdf",
        )
        body, field = multipart(b"mixed", b"attachment", [text, attachment])
        yield message(f"attachment {name}", body, version, field)
    forwarded = part(b"message/rfc822", header(b"Forwarded") + CRLF + b".\r\nFrom me\r\n")
    body, field = multipart(b"mixed", b"forward", [text, forwarded])
    yield message("forwarded message", body, version, field)
    yield message(
        "calendar", lines(b"BEGIN:VCALENDAR", b"METHOD:REQUEST", b"END:VCALENDAR"), b"Content-Type: text/calendar"
    )
    yield message(
        "vcard", lines(b"BEGIN:VCARD", "N:Example;Zoë".encode(), b"END:VCARD"), b"Content-Type: text/vcard"
    )
    yield message("uuencoded", lines(b"begin 644 x.bin", b"#0V%T", b"`", b"end"))
    yield message(
        "partial", lines(b"part two of three"), b'Content-Type: message/partial; id="x"; number=2; total=3'
    )
    yield message("binary", noise.randbytes(2000), version, b"Content-Transfer-Encoding: binary")
    signature = wrapped(noise.randbytes(2400))
    signed = [
        text,
        part(
            b'application/pkcs7-signature; name="smime.p7s"',
            signature,
            b"Content-Transfer-Encoding: base64",
            b'Content-Disposition: attachment; filename="smime.p7s"',
        ),
    ]
    body, field = multipart(b'signed; protocol="application/pkcs7-signature"; micalg=sha-256', b"smime", signed)
    yield message("S/MIME signed", body, version, field)
    yield message(
        "S/MIME enveloped",
        signature * 5,
        version,
        b'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
        b"Content-Transfer-Encoding: base64",
    )
    armor = lines(
        b"-----BEGIN PGP SIGNATURE-----", b"", b"iQEzBAEBCgAdFiEE", b"=abcd", b"-----END PGP SIGNATURE-----"
    )
    body, field = multipart(b'signed; protocol="application/pgp-signature"', b"pgp", [text, armor])
    yield message("PGP/MIME signed", body, version, field)


def reports() -> Iterator[Sample]:
    """What programs write to each other."""
    version = b"MIME-Version: 1.0"
    status = part(
        b"message/delivery-status",
        lines(
            b"Reporting-MTA: dns; mx.other.example",
            b"",
            b"Final-Recipient: rfc822; nobody@other.example",
            b"Action: failed",
            b"Status: 5.1.1",
            b"Diagnostic-Code: smtp; 550 5.1.1 unknown",
        ),
    )
    original = part(b"text/rfc822-headers", header(b"Original"))
    body, field = multipart(
        b"report; report-type=delivery-status", b"dsn", [part(b"text/plain", b"Sorry.\r\n"), status, original]
    )
    yield message("delivery report", body, version, field, b"Auto-Submitted: auto-replied")
    receipt = part(
        b"message/disposition-notification", lines(b"Disposition: manual-action/MDN-sent-manually; displayed")
    )
    body, field = multipart(b"report; report-type=disposition-notification", b"mdn", [receipt])
    yield message("read receipt", body, version, field)
    feedback = part(b"message/feedback-report", lines(b"Feedback-Type: abuse", b"User-Agent: X/1", b"Version: 1"))
    body, field = multipart(b"report; report-type=feedback-report", b"arf", [feedback])
    yield message("abuse report", body, version, field)
    yield message(
        "vacation", lines(b"I am away."), b"Auto-Submitted: auto-replied (vacation)", b"Precedence: bulk"
    )
    yield message("cron", lines(b"/bin/sh: 1: nothing: not found"), b"X-Cron-Env: <SHELL=/bin/sh>")
    yield message("format flowed", b"Long paragraphs \r\nflow on. \r\n-- \r\nCarol\r\n> quoted \r\n>> twice\r\n",
                  b"Content-Type: text/plain; format=flowed; delsp=yes")  # fmt: skip
    yield message(
        "list mail",
        lines(b"text", b"_______________________________________________", b"list mailing list"),
        b"List-Id: <list.lists.example>",
        b"List-Unsubscribe: <mailto:list-request@lists.example?subject=unsubscribe>,\r\n <https://lists.example/u>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        b"Precedence: list",
        b"Sender: list-bounces@lists.example",
    )
    yield message(
        "signed by servers",
        lines(b"text"),
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example;\r\n\th=from:to:subject;\r\n"
        b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=" + b"A" * 340,
        b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=relay.example; s=arc; t=1739435213; b=" + b"B" * 300,
        b"Authentication-Results: mx.relay.example; spf=pass; dkim=pass; dmarc=pass",
    )
    yield message("newsletter", quoted(b"<table>" + b"<tr><td>&nbsp;</td></tr>" * 400 + b"</table>"),
                  b"Content-Type: text/html; charset=us-ascii",
                  b"Content-Transfer-Encoding: quoted-printable")  # fmt: skip
    for number, start in enumerate(
        (b"From the desk", b">From quoted", b"From carol@sender.example Thu Feb 13 2025")
    ):
        yield message(f"mbox shape {number}", lines(b"", start, b"", start))
    yield message(
        "patch",
        lines(b"diff --git a/x b/x", b"--- a/x", b"+++ b/x", b"@@ -1 +1 @@", b"-a", b"+b\t", b"-- ", b"2.39"),
    )


FAMILIES = (languages, headers, ends, dots, line_ends, octets, sizes, mime, reports)
