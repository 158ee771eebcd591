"""How a check is told: a table of verdicts, each finding with its remedy, or one JSON document."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vmaild import __version__
from vmaild.cli.output import console, print_table
from vmaild.cli.text import safe
from vmaild.core.findings import Diagnosis, Finding, Fix, Severity
from vmaild.core.verdicts import worst

_STYLES = {Severity.UNKNOWN: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}
_VERDICTS = {
    None: "right",
    Severity.UNKNOWN: "unknown",
    Severity.WARNING: "doubtful",
    Severity.ERROR: "wrong",
}


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check found; "" stands for the machine as a whole."""

    names: tuple[str, ...]
    """The domains that were checked, in the order in which they are told."""
    files: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    diagnoses: Mapping[str, Sequence[Diagnosis]] = field(default_factory=dict)

    def places(self) -> tuple[str, ...]:
        """The machine, then the domains."""
        return ("", *self.names)

    def severities(self, name: str) -> list[Severity]:
        """Of all that was found about a domain."""
        in_files = [each.severity for each in self.files.get(name, ())]
        return in_files + [each.severity for each in self.diagnoses.get(name, ())]

    def verdict(self, name: str) -> str:
        """In one word."""
        return _VERDICTS[worst(self.severities(name))]

    def fixes(self) -> list[Fix]:
        """What vmaild may mend."""
        found = [each.fix for name in self.places() for each in self.files.get(name, ())]
        found += [each.fix for name in self.places() for each in self.diagnoses.get(name, ())]
        return [fix for fix in dict.fromkeys(found) if fix is not None]

    @property
    def faulty(self) -> bool:
        """Whether anything is wrong, as far as can be known."""
        return any(worst(self.severities(name)) not in (None, Severity.UNKNOWN) for name in self.places())

    def codes(self, name: str) -> list[str]:
        """What was found, in a word each."""
        found = sorted(self.diagnoses.get(name, ()), key=lambda each: -each.severity)
        return list(dict.fromkeys([*("files" for _ in self.files.get(name, ())), *(each.code for each in found)]))


def print_report(report: Report, one: str | None, *, offline: bool) -> None:
    """For people; `one`: the only domain that was checked."""
    if one is None and len(report.names) > 1 and not offline:
        rows = [(report.verdict(name), name, ", ".join(report.codes(name))) for name in report.names]
        print_table(("verdict", "domain", "findings"), rows)
        print()
    for name in report.places():
        for finding in report.files.get(name, ()):
            _print_file(finding)
        for diagnosis in report.diagnoses.get(name, ()):
            _print_diagnosis(diagnosis)
    out = console()
    total = Counter(severity for name in report.places() for severity in report.severities(name))
    what = one or "everything"
    if not total:
        out.print(f"{safe(what)}: nothing is wrong{' with the configuration' if offline else ''}", style="green")
        return
    unknown = f", {total[Severity.UNKNOWN]} unknown" if total[Severity.UNKNOWN] else ""
    out.print(f"{total[Severity.ERROR]} errors, {total[Severity.WARNING]} warnings{unknown}")


def _print_file(finding: Finding) -> None:
    _print(finding.severity, finding.place, (finding.problem,), finding.remedy)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    where = f"{diagnosis.domain or 'this machine'}  {diagnosis.code}"
    _print(diagnosis.severity, where, (diagnosis.seen, f"why it matters: {diagnosis.why}"), diagnosis.remedy)


def _print(severity: Severity, where: str, texts: Iterable[str], remedy: str) -> None:
    out = console()
    out.print(severity.name.lower(), style=_STYLES[severity], end="  ")
    out.print(safe(where), style="bold")
    for text in (*texts, f"remedy: {remedy}"):
        out.print(f"  {safe(text)}", soft_wrap=False)


def report_page(report: Report) -> str:
    """One page of HTML that needs nothing else, to be sent to somebody."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  seldom needed

    pages = Environment(
        loader=PackageLoader("vmaild.cli"), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    verdicts = Counter(report.verdict(name) for name in report.names)
    return pages.get_template("report.html").render(
        report=report,
        host=socket.gethostname(),
        moment=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        totals=[(word, verdicts[word]) for word in ("right", "doubtful", "wrong", "unknown")],
        version=__version__,
    )


def report_document(report: Report) -> dict[str, object]:
    """For scripts. A finding in a file has `file` and `line`, any other has `why`."""
    return {
        "findings": [finding for name in report.places() for finding in _findings(report, name)],
        "verdicts": {name: report.verdict(name) for name in report.names},
    }


def _findings(report: Report, name: str) -> Iterator[dict[str, object]]:
    for finding in report.files.get(name, ()):
        yield {
            "code": "file",
            "severity": finding.severity.name.lower(),
            "domain": name,
            "file": finding.path,
            "line": finding.line,
            "problem": finding.problem,
            "remedy": finding.remedy,
            "fix": finding.fix.kind.value if finding.fix else None,
        }
    for each in report.diagnoses.get(name, ()):
        yield {
            "code": each.code,
            "severity": each.severity.name.lower(),
            "domain": each.domain,
            "problem": each.seen,
            "why": each.why,
            "remedy": each.remedy,
            "fix": each.fix.kind.value if each.fix else None,
        }
