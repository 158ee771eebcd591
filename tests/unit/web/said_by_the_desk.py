"""What the desk says to people, read off its source: refusals and what changes do; `{}` is what they are about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import vmaild

SOURCE = Path(vmaild.__file__).parent
REFUSALS = {"Refused", "Misused", "FormatError", "AddressError"}
ROOMS = (
    "admin/*.py",
    "admin/answers/*.py",
    "diagnose/answers.py",
    "diagnose/rounds.py",
    "core/permissions.py",
    "address.py",
)
FORMATS = ("domain", "passwd", "forward", "vacation", "targets", "size", "aliases", "accounts_csv")
"""Those of `formats` that read what people write on pages."""
ELSEWHERE = {"admin/setup.py", "admin/live.py"}
"""Of the command line alone."""


def texts() -> set[str]:
    """Every one that has words."""
    paths = [path for room in ROOMS for path in SOURCE.glob(room)]
    paths += [SOURCE / f"formats/{name}.py" for name in FORMATS]
    found: set[str] = set()
    for path in paths:
        if str(path.relative_to(SOURCE)) not in ELSEWHERE:
            found |= set(_said(ast.parse(path.read_text(encoding="utf-8"))))
    return {text for text in found if re.search(r"[a-z]{3}", text.replace("{}", ""))}


def _said(tree: ast.AST) -> Iterator[str]:
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            arguments = {**dict.fromkeys(REFUSALS, 2), "Draft": 1}.get(node.func.id, 0)
            for argument in node.args[:arguments]:
                yield from _template(argument, constants)


def _constants(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _template(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from _template(one, constants)
            yield from _template(other, constants)
        case ast.Name(id=name) if name in constants:
            yield from _template(constants[name], {})
