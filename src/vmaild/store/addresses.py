"""The addresses of this machine: read and changed in the kernel (rtnetlink(7)), and a record of those put up here.

The record is what tells ours from those of others: an address that is not in it is never taken away. It is written
before an address is put up and after one is taken away, so that a power cut in between leaves none without it.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from vmaild.core.addresses import Host, HostAddress, Placed
from vmaild.store.atomic import make_folders, write_atomically

_NO_DAD, _DAD_FAILED, _TENTATIVE = 0x02, 0x08, 0x40
"""IFA_F_NODAD, IFA_F_DADFAILED and IFA_F_TENTATIVE of linux/if_addr.h."""
_PROTOCOL = 201
"""IFA_PROTO of ours, as `ip -d address` shows it; kernels before 5.18 do not keep it."""
_DETECTION = 5.0
"""Seconds that duplicate address detection may take: usually one, more where the interface asks several times."""
_ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849): the way to them is the way to the rest of the world."""


class AddressDuplicate(OSError):
    """Another machine of the network has the address."""


def read_host() -> Host:
    """What the kernel has now. Raises OSError."""
    with _netlink() as kernel:
        interfaces = {_attribute(link, "IFLA_IFNAME"): link["index"] for link in kernel.get_links()}
        names = {index: name for name, index in interfaces.items()}
        addresses = tuple(_address(found, names) for found in kernel.get_addr())
        gateways = {_attribute(route, "RTA_GATEWAY") for route in kernel.get_default_routes()}
        return Host(interfaces, addresses, frozenset(_sources(kernel)), frozenset(filter(None, gateways)))


def read_placed(path: str) -> tuple[Placed, ...]:
    """The record. Raises OSError, ValueError where it is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(Placed(**each) for each in json.load(file))
    except FileNotFoundError:
        return ()
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def put_up(record: str, placed: Placed, *, duplicate_detection: bool) -> None:
    """Put an address up and wait until it may be used. Raises OSError, of which AddressDuplicate."""
    others = [each for each in read_placed(record) if each.address != placed.address]
    _write(record, [*others, placed])
    with _netlink() as kernel:
        index = _index(kernel, placed.interface)
        with suppress(FileExistsError):
            _add(kernel, index, placed, 0 if duplicate_detection else _NO_DAD)
        if ":" not in placed.address or _is_unique(kernel, index, placed.address):
            return
        _delete(kernel, index, placed)
    _write(record, others)
    raise AddressDuplicate(errno.EADDRINUSE, "used by another machine of the network", placed.address)


def take_down(record: str, placed: Placed) -> None:
    """Take an address away that is in the record, if it is still there. Raises OSError."""
    with _netlink() as kernel:
        index = next(iter(kernel.link_lookup(ifname=placed.interface)), 0)
        if index:
            before = list(kernel.get_addr(index=index))
            _delete(kernel, index, placed)
            # With the first address of a network the kernel takes the others of that network away, too, unless
            # promote_secondaries is set (ip-sysctl.rst of Linux).
            left = {_attribute(found, "IFA_ADDRESS") for found in kernel.get_addr(index=index)}
            for found in before:
                if _attribute(found, "IFA_ADDRESS") not in {*left, placed.address}:
                    _restore(kernel, index, found)
    _write(record, [each for each in read_placed(record) if each != placed])


# -- parts


@contextmanager
def _netlink() -> Iterator[Any]:
    """A connection to the kernel, whose refusals are OSError, as those of system calls are."""
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415  a quarter of the start of every command

    try:
        with IPRoute() as kernel:
            yield kernel
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def _attribute(message: Any, name: str) -> Any:  # noqa: ANN401  as pyroute2 has it
    return message.get_attr(name)


def _address(found: Any, names: dict[int, str]) -> HostAddress:  # noqa: ANN401  likewise
    # Of a point-to-point interface IFA_ADDRESS is the other end.
    address = _attribute(found, "IFA_LOCAL") or _attribute(found, "IFA_ADDRESS")
    flags = _attribute(found, "IFA_FLAGS") or found["flags"]
    return HostAddress(address, found["prefixlen"], names.get(found["index"], ""), bool(flags & _DAD_FAILED))


def _sources(kernel: Any) -> Iterator[str]:  # noqa: ANN401  likewise
    from pyroute2 import NetlinkError  # noqa: PLC0415  see _netlink

    for version, destination in _ELSEWHERE.items():
        with suppress(NetlinkError):
            for route in kernel.route("get", dst=destination, family={4: 2, 6: 10}[version]):
                source = _attribute(route, "RTA_PREFSRC")
                if source:
                    yield source


def _index(kernel: Any, interface: str) -> int:  # noqa: ANN401  likewise
    found = kernel.link_lookup(ifname=interface)
    if not found:
        raise OSError(errno.ENODEV, "there is no such interface", interface)
    return int(found[0])


def _add(kernel: Any, index: int, placed: Placed, flags: int) -> None:  # noqa: ANN401  likewise
    from pyroute2 import NetlinkError  # noqa: PLC0415  see _netlink

    try:
        kernel.addr(
            "add",
            index=index,
            address=placed.address,
            prefixlen=placed.prefix_length,
            flags=flags if ":" in placed.address else 0,
            proto=_PROTOCOL,
        )
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), str(placed)) from error


def _delete(kernel: Any, index: int, placed: Placed) -> None:  # noqa: ANN401  likewise
    from pyroute2 import NetlinkError  # noqa: PLC0415  see _netlink

    try:
        kernel.addr("del", index=index, address=placed.address, prefixlen=placed.prefix_length)
    except NetlinkError as error:
        if error.code not in (errno.EADDRNOTAVAIL, errno.ENODEV):
            raise


def _restore(kernel: Any, index: int, found: Any) -> None:  # noqa: ANN401  likewise
    from pyroute2 import NetlinkError  # noqa: PLC0415  see _netlink

    try:
        kernel.addr(
            "add",
            index=index,
            address=_attribute(found, "IFA_LOCAL"),
            prefixlen=found["prefixlen"],
            label=_attribute(found, "IFA_LABEL"),
            scope=found["scope"],
            proto=_attribute(found, "IFA_PROTO") or 0,
        )
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def _is_unique(kernel: Any, index: int, address: str) -> bool:  # noqa: ANN401  likewise
    """Wait for the end of duplicate address detection."""
    until = time.monotonic() + _DETECTION
    while True:
        found = [each for each in kernel.get_addr(index=index) if _attribute(each, "IFA_ADDRESS") == address]
        flags = [_attribute(each, "IFA_FLAGS") or each["flags"] for each in found]
        if any(each & _DAD_FAILED for each in flags):
            return False
        # An interface that is down stays tentative for ever: then it is asked when it comes up.
        if not any(each & _TENTATIVE for each in flags) or time.monotonic() > until:
            return True
        time.sleep(0.05)


def _write(record: str, placed: Sequence[Placed]) -> None:
    make_folders(os.path.dirname(record), 0o750)
    text = json.dumps([asdict(each) for each in placed], indent=1)
    write_atomically(record, f"{text}\n".encode(), mode=0o644)
