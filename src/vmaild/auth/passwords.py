"""Passwords through the system's libcrypt: whatever hash the host verifies, so do we.

Hashing takes some 25 ms by design, without the interpreter's lock: call it in a thread, never on an event loop.
Source: crypt(3), crypt(5) and crypt_gensalt(3) of libxcrypt.
"""

from __future__ import annotations

import ctypes
import hmac
from contextlib import suppress

_DATA_SIZE = 32768
"""sizeof(struct crypt_data); libxcrypt promises never to change it."""
_LIBRARIES = ("libcrypt.so.2", "libcrypt.so.1")
"""libxcrypt's; the second also where it stands in for the C library's old one, as on Debian. By name: to have the
system look for it takes a process and half a megabyte of modules."""
_MAX_PASSWORD = 511
"""Octets; CRYPT_MAX_PASSPHRASE_SIZE less the final NUL."""

NOBODY = "$y$j9T$KXzFn4NCAhAUtXLEaOYHj.$qbd0dLRf9jyOCQ3IVpxZ8JNPHVP3QHGHGgCXWCVMKK8"
"""A hash of no password, to be checked where there is no account: a refusal then takes as long as any other."""


class PasswordError(ValueError):
    """A password cannot be hashed; the text says why and never quotes it."""


def _library() -> ctypes.CDLL:
    for name in _LIBRARIES[:-1]:
        with suppress(OSError):
            return ctypes.CDLL(name, use_errno=True)
    return ctypes.CDLL(_LIBRARIES[-1], use_errno=True)


def _load() -> ctypes.CDLL:
    library = _library()
    text, size, number = ctypes.c_char_p, ctypes.c_int, ctypes.c_ulong
    library.crypt_rn.argtypes = [text, text, ctypes.c_void_p, size]
    library.crypt_rn.restype = text
    library.crypt_gensalt_rn.argtypes = [text, number, text, size, ctypes.c_char_p, size]
    library.crypt_gensalt_rn.restype = text
    return library


_LIBCRYPT = _load()


def _crypt(password: bytes, setting: bytes) -> bytes | None:
    if b"\0" in password or len(password) > _MAX_PASSWORD:
        return None
    # A buffer of its own for each call: crypt_rn keeps all its state there, so threads never meet.
    data = ctypes.create_string_buffer(_DATA_SIZE)
    hashed: bytes | None = _LIBCRYPT.crypt_rn(password, setting, data, _DATA_SIZE)
    return hashed


def verify(password: bytes, hashed: str) -> bool:
    """Whether `password` is the one that `hashed` was made from.

    `hashed` is the second field of shadow(5). An empty one, a locked one (`!...`, `*`) or one of a method that
    this libcrypt does not know verifies nothing. Takes as long as the method of the hash asks for.
    """
    if not hashed or hashed.startswith(("!", "*")) or not hashed.isascii():
        return False
    setting = hashed.encode("ascii")
    result = _crypt(password, setting)
    return result is not None and hmac.compare_digest(result, setting)


def hash_password(password: bytes) -> str:
    """Hash a new password with the system's preferred method (yescrypt on Debian) and a fresh salt.

    Raises PasswordError for one that libcrypt cannot take whole: empty, with a NUL, or over 511 octets.
    """
    if not password:
        raise PasswordError("the password is empty")
    if b"\0" in password:
        raise PasswordError("the password contains a NUL character")
    if len(password) > _MAX_PASSWORD:
        raise PasswordError(f"the password is longer than {_MAX_PASSWORD} octets")
    setting = ctypes.create_string_buffer(192)
    # No prefix: the best method; no random bytes: the system's own source of them.
    if _LIBCRYPT.crypt_gensalt_rn(None, 0, None, 0, setting, len(setting)) is None:
        raise OSError(ctypes.get_errno(), "crypt_gensalt_rn failed")
    result = _crypt(password, setting.value)
    if result is None or result.startswith(b"*"):
        raise OSError(ctypes.get_errno(), "crypt_rn failed")
    return result.decode("ascii")
