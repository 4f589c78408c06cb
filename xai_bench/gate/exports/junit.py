"""A check as JUnit XML: one test case per cell, for GitLab, Jenkins, dorny/test-reporter and the like.

Valid by the schema of Jenkins' xUnit plugin, which knows properties of suites but not of cases: the numbers of a cell
stand in its failure or its `system-out`. GitLab shows nothing but a case's name, so the name says the whole cell;
`classname` groups by data and model.
"""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from xai_bench.gate.check import FAILED, Check
from xai_bench.gate.exports import words
from xai_bench.gate.verdicts import Verdict
from xai_bench.grammar import shown

SUITE = "xai-bench check"
PASSED = ("pass", "improved")


def junit(check: Check, *, allow_undecided: bool = False) -> bytes:
    """Regressions and vanished cells fail, undecided ones too unless allowed; what decides nothing is skipped."""
    failing = FAILED if allow_undecided else (*FAILED, "undecided")
    failures = sum(cell.verdict in failing for cell in check.verdicts)
    skipped = len(check.verdicts) - failures - sum(cell.verdict in PASSED for cell in check.verdicts)
    totals = {"tests": str(len(check.verdicts)), "failures": str(failures), "errors": "0", "time": "0.000"}
    root = ET.Element("testsuites", {"name": SUITE, **totals})
    suite = ET.SubElement(root, "testsuite", {"name": SUITE, **totals, "skipped": str(skipped)})
    _properties(suite, check)
    for cell in check.verdicts:
        _case(suite, cell, words.level(check), fails=cell.verdict in failing)
    ET.SubElement(suite, "system-out").text = "\n".join(map(shown, (*check.notes, check.sentence)))
    ET.indent(root, " ")
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _properties(suite: ET.Element, check: Check) -> None:
    facts = {"run": check.run, "reference": check.reference, "verdict": check.verdict}
    listed = ET.SubElement(suite, "properties")
    for name, value in (facts | {"alpha": f"{check.margins.alpha:g}"}).items():
        ET.SubElement(listed, "property", {"name": name, "value": shown(value)})


def _case(suite: ET.Element, cell: Verdict, level: str, *, fails: bool) -> None:
    group = ".".join(shown(name).replace(".", "_") for name in (cell.data, cell.model))  # Jenkins: package.class
    case = ET.SubElement(suite, "testcase", {"classname": group, "name": words.title(cell), "time": "0.000"})
    numbers = "\n".join(_numbers(cell, level))
    if fails:
        told = {"type": cell.verdict, "message": _message(cell)}
        ET.SubElement(case, "failure", told).text = f"{_message(cell)}\n{numbers}"
        return
    if cell.verdict not in PASSED:
        ET.SubElement(case, "skipped", {"type": cell.verdict, "message": _message(cell)})
    ET.SubElement(case, "system-out").text = numbers


def _message(cell: Verdict) -> str:
    """`regression: worse by +0.041 [+0.030, +0.052], margin 0.02`."""
    worse = f"worse by {words.worse(cell)}, margin {words.margin(cell)}" if words.worse(cell) else ""
    told = "; ".join(filter(None, (worse, words.why(cell))))
    return f"{cell.verdict}: {told}" if told else cell.verdict


def _numbers(cell: Verdict, level: str) -> Iterator[str]:
    """A line each, of what there is."""
    facts = {
        "verdict": cell.verdict,
        "better": cell.better,
        "before": words.score(cell, cell.before),
        "now": words.score(cell, cell.now),
        f"worse by [{level} each side]": words.worse(cell),
        "margin": words.margin(cell),
        "images": f"{cell.n:,}",
        "lost their score": f"{cell.lost:,}" if cell.lost else "",
        "undefined in both": f"{cell.left:,}" if cell.left else "",
        "why": words.why(cell),
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value)
