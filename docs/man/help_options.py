"""The options of a program, as its own --help says them: one table row there is parser, default,
help, man page and completion.
"""
import os
import re
import subprocess

ROW = re.compile(r"^  (?:-(?P<short>\S), |    )--(?P<long>[a-z][a-z0-9-]*)"
                 r"(?:[= ](?P<value>\S+))?(?:\s{2,}(?P<text>.*))?$")
CONTINUED = re.compile(r"^ {20,}(?P<text>\S.*)$")


class Option:
    """short and value are "" where there are none."""

    def __init__(self, row):
        self.short, self.long = row["short"] or "", row["long"]
        self.value, self.text = row["value"] or "", row["text"] or ""


def read_help(program):
    """What --help prints. The sanitizers' leak check is off: popt keeps its tables."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "LC_ALL": "C"}
    return subprocess.run([program, "--help"], check=True, capture_output=True, text=True,
                          env=environment, stdin=subprocess.DEVNULL, timeout=60).stdout


def parse(text):
    """[Option], in the order of --help. A row that is shadowed by an earlier one is left out."""
    options, seen = [], set()
    for line in text.split("\n"):
        row, more = ROW.match(line), CONTINUED.match(line)
        if row:
            options.append(Option(row))
        elif more and options:
            options[-1].text = f"{options[-1].text} {more['text']}".strip()
    kept = []
    for option in options:
        if option.long not in seen:
            kept.append(option)
        seen.add(option.long)
    if "help" not in seen or "version" not in seen:
        raise SystemExit("--help could not be read: no rows for --help and --version in it")
    return kept
