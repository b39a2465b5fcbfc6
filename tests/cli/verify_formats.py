#!/usr/bin/env python3
"""verify_formats.py - what mistral-verify writes: help, lists and each format, to a terminal, a pipe
or a file. See verify_stage.py.
"""
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.dont_write_bytecode = True
from verify_stage import (  # noqa: E402
    LIMIT_S, OFF_BY_ONE, QUICK, SOURCE, VERIFY, Wrong, expect, has, main, run, run_json, test)


@test
def the_list_names_suites_formats_and_backends():
    text = run("--list", code=0).stdout
    has(text, "suites:", "chunking", "formats:", "junit", "backends:", "reference")


@test
def help_and_version_are_results():
    for option, fragment in (("--help", "--suite"), ("--version", "mistral-verify "),
                             ("-?", "--window")):
        done = run(option, code=0)
        has(done.stdout, fragment)
        expect(done.stderr == "", f"on stderr: {done.stderr}")
    for option in ("--help", "--version", "--list"):
        done = subprocess.run(["sh", "-c", f'"$0" {option} >/dev/full', VERIFY], text=True,
                              capture_output=True, check=False, timeout=LIMIT_S)
        expect(done.returncode == 3, f"{option}: exit code {done.returncode}")
        has(done.stderr, "cannot write to stdout")


@test
def the_json_has_its_form():
    document = run_json("--suite", "chunking,window", "--backend", OFF_BY_ONE, code=1)
    expect(document["schema"] == "mistral-verify/1", document["schema"])
    expect(set(document) >= {"tool", "environment", "model", "verdict", "summary", "cases"},
           f"keys {sorted(document)}")
    expect(re.fullmatch("[0-9a-f]{64}", document["model"]["weights_sha256"]), "no weights_sha256")
    expect(document["model"]["params"]["sliding_window"] == 8, "params")
    summary, cases = document["summary"], document["cases"]
    expect(summary["failed"] == sum(case["verdict"] == "fail" for case in cases), "summary.failed")
    expect(summary["passed"] == sum(case["verdict"] == "pass" for case in cases), "summary.passed")
    expect(summary["failed"] > 0 < summary["passed"], f"{summary}")
    for case in cases:
        expect(set(case) >= {"suite", "case", "backend", "compute", "window", "chunk", "length",
                             "seed", "verdict", "coverage", "metrics", "reproduce"},
               f"keys {sorted(case)}")
        expect(case["verdict"] == "pass" or case["reason"], f"no reason: {case['case']}")
    try:
        import jsonschema
    except ImportError:
        print("# no jsonschema: the schema was not asked")
        return
    path = os.path.join(SOURCE, "reports", "schema", "mistral-verify-1.schema.json")
    with open(path, encoding="utf-8") as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    for one in validator.iter_errors(document):
        raise Wrong(f"{one.json_path}: {one.message}")


@test
def the_junit_parses_and_counts():
    text = run("--suite", "window", "--backend", OFF_BY_ONE, "--format", "junit", code=1).stdout
    root = xml.etree.ElementTree.fromstring(text)
    cases, failures = list(root.iter("testcase")), list(root.iter("failure"))
    expect(cases and failures, "no cases or no failures")
    for name, found in (("tests", cases), ("failures", failures)):
        total = sum(int(one.get(name)) for one in root.iter("testsuite"))
        expect(total == len(found), f"{name} says {total}, and there are {len(found)}")


@test
def the_tap_has_a_line_for_each_of_its_plan():
    for arguments, code in (([], 0), (["--backend", OFF_BY_ONE], 1)):
        text = run("--suite", "window", *arguments, "--format", "tap", code=code).stdout
        plan = int(re.search(r"^1\.\.(\d+)$", text, re.MULTILINE).group(1))
        lines = re.findall(r"^(ok|not ok) (\d+)\b", text, re.MULTILINE)
        expect([int(number) for _, number in lines] == list(range(1, plan + 1)), f"plan {plan}")
        expect(any(word == "not ok" for word, _ in lines) == (code == 1), f"{lines}")


@test
def each_output_is_written_and_stdout_still_has_the_text():
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("r.json", "r.xml", "r.tap", "r.csv", "r.md")]
        words = [word for path in paths for word in ("--output", path)]
        has(run(*QUICK, *words, code=0).stdout, "suite", "pass: ")
        for path in paths:
            expect(os.path.getsize(path) > 100, f"{path} is not written")
        with open(paths[0], encoding="utf-8") as file:
            expect(json.load(file)["verdict"] == "pass", paths[0])
        done = run(*QUICK, "--output", "-", "--format", "json", code=0)
        expect(json.loads(done.stdout)["verdict"] == "pass", "JSON alone on stdout")
        before = sorted(os.listdir(folder))
        run("--suite", "x", "--output", paths[0], code=2)
        expect(sorted(os.listdir(folder)) == before, "something was left behind")


@test
def a_result_that_cannot_be_written_is_an_error():
    for arguments in (QUICK, ["--list"], [*QUICK, "--format", "json"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([VERIFY, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False, timeout=LIMIT_S)
        expect(done.returncode == 3, f"{arguments}: exit code {done.returncode}")
        expect(done.stderr.count("\n") == 1, f"{arguments}: {done.stderr}")


def run_on_terminal(*arguments, **variables):
    """What a program writes to a terminal as its stdout."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **variables}
    with subprocess.Popen([VERIFY, *arguments], stdout=theirs, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        text = b""
        while select.select([ours], [], [], LIMIT_S)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
        os.close(ours)
        process.stderr.read()
    return text.decode()


@test
def colours_are_for_terminals_that_want_them():
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    os.environ.clear()
    os.environ.update(environment)
    expect("\033[" in run_on_terminal(*QUICK), "no colour on a terminal")
    expect("\033[" in run_on_terminal(*QUICK, NO_COLOR=""), "an empty NO_COLOR asks for nothing")
    expect("\033[" not in run_on_terminal(*QUICK, NO_COLOR="1"), "NO_COLOR was not heard")
    expect("\033[" not in run_on_terminal(*QUICK, TERM="dumb"), "colour on a dumb terminal")
    expect("\033[" not in run(*QUICK, code=0, TERM="xterm").stdout, "colour in a pipe")


if __name__ == "__main__":
    sys.exit(main())
