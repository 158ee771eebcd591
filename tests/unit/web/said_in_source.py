"""Texts for people, read off the source: what a f-string says with `{}` for each value, every choice spelt out.

`f"no alias '{name}'" + (f" in {files}" if files else "")` is two: "no alias '{}'" and "no alias '{}' in {}".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import vmaild

SOURCE = Path(vmaild.__file__).parent
ROOMS = (
    "address.py",
    *(f"core/{name}.py" for name in ("addresses", "alias_lint", "dns_plan", "forwarding", "mta", "permissions")),
    *(f"core/{name}.py" for name in ("routing", "rules_*", "verdicts")),
    "formats/*.py",
    *(f"store/{name}.py" for name in ("backup", "copies", "definitions", "directory", "files", "homes")),
    *(f"store/{name}.py" for name in ("maildir", "messages", "second_factor", "site", "state")),
    "admin/*.py",
    "admin/answers/*.py",
    "diagnose/*.py",
)
"""Where what people read on pages is said, whole files of it."""
ELSEWHERE = {"admin/setup.py", "admin/live.py"}
"""Of the command line alone."""
NO_WORDS = re.compile(
    r"(user|alias|admin|domain|backup|dns|mta|token|address) [a-z]+(?<!ed)|second factor (on|off|renew)|"  # verbs
    r".*%[sr].*|"  # of the log
    r"(chmod|chown|pkill|adduser) .*|postconf -e '[^']*'(; postfix reload)?|"  # to be typed
    r"(\^|-----|v=|\$ORIGIN|PRAGMA|0 issue|.*\$ORIGIN|.*\. \{\} IN).*|"  # to be read by programs
    r"(BEGIN IMMEDIATE|PUBLIC KEY|host bits|sudo: \{\}|all domains|unix:alice: aliases|mot de passe|nom complet)|"
    r"(import into|the check of|token) \{\}|"  # in logs
    r".*\\ No newline.*|"  # as diff(1) has it
    r"(Cannot|Expected|Illegal|Invalid|Unclosed|Unescaped|Unfinished|Unterminated) .*|"  # of tomllib
    r"(does not relay|refuses an unknown recipient|takes mail for .* (recipient|domain))|"  # in a terminal
    r"(allow it in its zone there.*|figures cannot be written down|\{\} may not \{\} this machine)|"
    r"(\{\} serial \{\}|is a file|is a list)",  # parts of a text
    re.DOTALL,
)
"""What else is spelt in these files."""
GAP = "{}"
Names = Mapping[str, Sequence[ast.expr]]
"""What names stand for, in a function or a module."""

_FRAGMENT = re.compile(r"^[ ,;:(]|[ (]$")
"""What is no text, but a part of one."""


@cache
def texts() -> frozenset[str]:
    """Every text for people that may come to a page."""
    paths = {path for room in ROOMS for path in SOURCE.glob(room)} - {SOURCE / name for name in ELSEWHERE}
    return frozenset(text for path in paths for text in sentences(path) if not NO_WORDS.fullmatch(text))


def refusals_of_the_web() -> set[str]:
    """What pages refuse by themselves."""
    found: set[str] = set()
    for path in SOURCE.glob("web/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Refusal"), args=[problem, remedy, *_]):
                    found |= {*templates(problem, {}), *templates(remedy, {})}
    return found - {"", GAP}


def sentences(path: Path) -> set[str]:
    """Every text of several words in a file, docstrings aside."""
    return {text for text in _of_tree(ast.parse(path.read_text(encoding="utf-8"))) if is_sentence(text)}


def is_sentence(text: str) -> bool:
    """Whether a text has words for people, and is no part of another."""
    return " " in text and bool(re.search("[A-Za-z]{2}", text)) and not _FRAGMENT.search(text)


def templates(node: ast.expr, names: Names) -> Iterator[str]:
    """What an expression may say."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield from _joined([_part(part, names) for part in parts])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _joined([[*templates(left, names)], [*templates(right, names)]])
        case ast.IfExp(body=one, orelse=other):
            yield from templates(one, names)
            yield from templates(other, names)
        case ast.Name(id=name) if name in names:
            for each in names[name]:
                yield from templates(each, {})
        case _:
            yield GAP


def _joined(parts: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from map("".join, product(*parts))


def _part(part: ast.expr, names: Names) -> Sequence[str]:
    match part:
        case ast.FormattedValue(value=ast.IfExp() | ast.JoinedStr() as value):
            return list(templates(value, names))
        case ast.FormattedValue(value=ast.Name(id=name)) if name in names:
            said = [text for each in names[name] for text in templates(each, {})]
            plain = GAP not in "".join(said)
            return said if plain or any(_FRAGMENT.search(text) for text in said) else [GAP]
        case ast.Constant(value=text):
            return [str(text)]
    return [GAP]


def _of_tree(tree: ast.Module) -> Iterator[str]:
    for nodes, names in _scopes(tree, {}):
        inner = {id(part) for node in nodes for part in _parts_of(node)}
        for node in nodes:
            if id(node) not in inner and (isinstance(node, ast.Constant | ast.JoinedStr) or _adds_text(node)):
                assert isinstance(node, ast.expr)
                yield from templates(node, names)


def _adds_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and any(isinstance(each, ast.Constant | ast.JoinedStr) for each in ast.walk(node))
    )


def _parts_of(node: ast.AST) -> Iterator[ast.AST]:
    """What is told by a text already, of which it is a part; and docstrings."""
    if isinstance(node, ast.Expr):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield part
            if isinstance(part, ast.FormattedValue):
                yield from _choices(part.value)
    elif _adds_text(node):
        assert isinstance(node, ast.BinOp)
        yield from _choices(node.left)
        yield from _choices(node.right)


def _choices(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp):
        yield from _choices(node.body)
        yield from _choices(node.orelse)
    elif isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        yield node


def _scopes(scope: ast.AST, outer: Names) -> Iterator[tuple[Sequence[ast.AST], Names]]:
    """The nodes of a module and of each function in it, with what names stand for there."""
    nodes = list(_within(scope))
    known = {**outer, **_assigned(nodes)}
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        known |= {each.arg: [] for each in (*scope.args.args, *scope.args.kwonlyargs)}
    names = {name: told for name, told in known.items() if told}
    yield nodes, names
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _scopes(node, names)


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope; of a function in it, the function alone."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(child)


def _assigned(nodes: Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=True):
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(value)
            case ast.For(target=target) | ast.comprehension(target=target):
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        found.setdefault(each.id, []).append(ast.Constant(None))
    return found
