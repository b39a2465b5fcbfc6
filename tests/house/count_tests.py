#!/usr/bin/env python3
"""Adds up what meson test did in some build folders, and prints "N passed, N failed, N skipped".

usage: count_tests.py BUILD_FOLDER...
Each TAP subtest counts; a test that failed without a failed subtest (a crash, a timeout) counts as
one failure; so does a folder that has no test log. Ends with 1 if anything failed or nothing passed.
"""

import json
import os
import sys
import xml.etree.ElementTree as xml

PASSED = {"OK", "EXPECTEDFAIL"}


def subtests(folder):
    """{name of a suite: its results}. Only a TAP test has one of its own, "PROJECT.TEST"."""
    suites = {}
    for suite in xml.parse(os.path.join(folder, "meson-logs", "testlog.junit.xml")).iter("testsuite"):
        results = suites.setdefault(suite.get("name"), [])
        for case in suite.iter("testcase"):
            kinds = {child.tag for child in case}
            results.append("failed" if kinds & {"failure", "error"} else
                           "skipped" if "skipped" in kinds else "passed")
    return suites


def count(folder, totals):
    suites = subtests(folder)
    with open(os.path.join(folder, "meson-logs", "testlog.json"), encoding="utf-8") as file:
        tests = [json.loads(line) for line in file]
    for test in tests:
        name = test["name"]  # PROJECT:SUITE / TEST
        results = list(suites.get(f"{name.split(':')[0]}.{name}", []))
        whole = ("passed" if test["result"] in PASSED else
                 "skipped" if test["result"] == "SKIP" else "failed")
        if not results or (whole == "failed" and "failed" not in results):
            results.append(whole)
        for result in results:
            totals[result] += 1
        if whole == "failed":
            print(f"failed: {name} ({test['result'].lower()}) in {folder}")


def main():
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for folder in sys.argv[1:]:
        try:
            count(folder, totals)
        except (OSError, ValueError, xml.ParseError) as problem:
            print(f"failed: no tests ran in {folder}: {problem}")
            totals["failed"] += 1
    print(", ".join(f"{number} {word}" for word, number in totals.items()))
    return 0 if totals["failed"] == 0 and totals["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
