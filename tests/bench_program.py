#!/usr/bin/env python3
"""bench_program.py MISTRAL_BENCH SCHEMA - runs mistral-bench for a moment on the probe model and
checks exit codes, and what it writes against the schema (where jsonschema is installed). TAP."""
import json
import subprocess
import sys

QUICK = ["synthetic:probe", "--max-time", "0.05", "--min-time", "0", "--threads", "1"]


def run(bench, *arguments):
    return subprocess.run([bench, *QUICK, *arguments], capture_output=True, text=True, check=False,
                          timeout=100)


def problems_of(done, code, *fragments):
    found = []
    if done.returncode != code:
        found.append(f"exit code {done.returncode}, expected {code}: {done.stderr.strip()}")
    found += [f"not said: {one}" for one in fragments if one not in done.stdout + done.stderr]
    return found


def check_json(done, schema_path):
    document = json.loads(done.stdout)
    found = []
    try:
        import jsonschema
        with open(schema_path, encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
        found += [f"{one.json_path}: {one.message}" for one in validator.iter_errors(document)]
    except (ImportError, AttributeError):
        print("# no jsonschema: the schema was not asked")
    for row in document["runs"]:
        n = row["prompt"] + row["generate"]
        if not row["checked"] or n not in (24, 6):
            found.append(f"unexpected row: {row['check']} {n}")
    # The first chunk is the whole prompt, the second is 7.
    if [row["phase"] for row in document["runs"]] != ["prefill", "prefill", "decode"] * 2:
        found.append(f"unexpected phases: {[row['phase'] for row in document['runs']]}")
    return found


def main(bench, schema):
    shapes = ["--prompt", "24", "--generate", "6"]
    done = run(bench, *shapes, "--backend", "reference", "--window", "0,W", "--chunk", "T,2T-41",
               "--format", "json")
    tests = [
        ("writes JSON by its schema", problems_of(done, 0) or check_json(done, schema)),
        ("prints a table", problems_of(run(bench, *shapes, "--backend", "reference"), 0,
                                       "tokens/s", "checked")),
        ("writes CSV and Markdown",
         problems_of(run(bench, *shapes, "--backend", "reference", "--format", "csv"), 0,
                     "fraction_of_limit") +
         problems_of(run(bench, *shapes, "--backend", "reference", "--format", "md"), 0,
                     "| backend |")),
        ("does not time what is wrong",
         problems_of(run(bench, *shapes, "--backend", "null"), 1, "UNCHECKED", "as allowed")),
        ("says that what was not checked was not checked",
         problems_of(run(bench, *shapes, "--backend", "null", "--no-check"), 1, "UNCHECKED",
                     "not asked for")),
        ("refuses a format without a place for times",
         problems_of(run(bench, *shapes, "--format", "junit"), 2, "no place for times")),
        ("refuses a bad list", problems_of(run(bench, "--prompt", "5,x"), 2, "--prompt")),
        ("refuses to measure nothing",
         problems_of(run(bench, "--prompt", "0", "--generate", "0"), 2, "nothing to measure")),
        ("names the nearest backend", problems_of(run(bench, "--backend", "referense"), 2,
                                                  "reference")),
    ]
    print(f"1..{len(tests)}")
    for number, (name, problems) in enumerate(tests, 1):
        for problem in problems:
            print(f"# {problem}")
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    return 1 if any(problems for _, problems in tests) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
