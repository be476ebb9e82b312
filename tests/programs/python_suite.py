"""Runs parts of CPython's own test suite; prints what was not a plain pass, one line each, sorted.

Usage: python_suite.py TEST [PATTERN]
"""

import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

WORSE = {"failure": "FAIL", "error": "ERROR", "skipped": "SKIP"}


def run(test, pattern, report):
    from test.libregrtest import main
    sys.argv[1:] = ["--junit-xml", report, *(["-m", pattern] if pattern else []), test]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def results(report):
    for case in ElementTree.parse(report).iter("testcase"):
        verdicts = [WORSE[child.tag] for child in case if child.tag in WORSE]
        yield case.get("name"), verdicts[0] if verdicts else "ok"


def main():
    # The children's standard error belongs to the tests: no statistics there.
    os.environ.pop("EFDSHIM_STATS", None)
    test, pattern = (sys.argv[1:] + [None])[:2]
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report.xml")
        code = run(test, pattern, report)
        seen = sorted(set(results(report)))
    for name, verdict in seen:
        if verdict != "ok":
            print(f"{verdict}: {name}")
    print(f"RAN: {len(seen)} tests of {test}")
    return code if seen else 1


if __name__ == "__main__":
    sys.exit(main())
