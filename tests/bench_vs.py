#!/usr/bin/env python3
"""bench_vs.py MISTRAL_BENCH SLOW_PLUGIN - comparisons of builds, with planted faults. TAP.

What is exact (work, logits, refusals) must be exact. What is timed on a machine that others use too
may be inconclusive, but the same file twice is never slower, and twice the work is never the same."""
import json
import os
import subprocess
import sys

SHAPES = ["synthetic:probe", "--prompt", "20", "--generate", "8", "--format", "json"]


def run(bench, plugin, fault, max_time, *arguments, base="reference"):
    environment = {**os.environ, "MV_FAULT": fault}
    done = subprocess.run(
        [bench, *SHAPES, "--backend", base, "--vs", plugin, "--max-time", str(max_time),
         "--min-time", "0", *arguments],
        capture_output=True, text=True, check=False, timeout=250, env=environment)
    rows = json.loads(done.stdout)["comparison"] if done.stdout else []
    return done, {(row["method"], row["key"].split()[0]): row for row in rows}


def expect(done, code, *fragments):
    problems = [] if done.returncode == code else [f"exit code {done.returncode}, expected {code}"]
    problems += [f"not said: {one}" for one in fragments if one not in done.stdout + done.stderr]
    return problems + [done.stderr.strip()] if problems else []


def same_file_twice(bench, plugin):
    done, rows = run(bench, plugin, "", 1, base=plugin)
    problems = expect(done, 0)
    for row in rows.values():
        if row["method"] == "work" and row["verdict"] != "same":
            problems.append(f"{row['key']}: {row['reason']}")
        if row["verdict"] == "slower":
            problems.append(f"{row['key']}: slower than itself: {row}")
    return problems


def twice_the_work(bench, plugin):
    done, rows = run(bench, plugin, "forward:+100%", 4)
    problems = [f"{row['key']}: {row['verdict']}" for key, row in rows.items()
                if key[0] == "interleaved" and row["verdict"] in ("same", "faster")]
    return problems + ([] if done.returncode in (0, 1) and rows else expect(done, 1))


def counted(bench, plugin, fault, counter, phases):
    done, rows = run(bench, plugin, fault, 0.01)
    problems = expect(done, 1)
    for phase in ("prefill", "decode"):
        row = rows.get(("work", phase), {"verdict": "absent", "reason": ""})
        expected = "slower" if phase in phases else "same"
        if row["verdict"] != expected or (phase in phases and counter not in row["reason"]):
            problems.append(f"{phase}: {row['verdict']}: {row['reason']}, expected {expected}")
    return problems


def main(bench, plugin):
    plugin = os.path.abspath(plugin)
    tests = [
        ("the same file twice is not slower", same_file_twice(bench, plugin)),
        ("twice the work is not the same", twice_the_work(bench, plugin)),
        ("logits of all tokens are counted", counted(bench, plugin, "logits-all",
                                                     "output_multiply_adds", ["prefill"])),
        ("an allocation in a call is counted", counted(bench, plugin, "alloc", "allocations",
                                                       ["prefill", "decode"])),
        ("an ignored window is found before anything is timed",
         expect(run(bench, plugin, "ignore-window", 1)[0], 3, "nothing was timed")),
        ("what a child refuses is passed on", expect(run(bench, plugin, "no such fault", 1)[0], 2,
                                                     "unknown fault")),
        ("a gate below what layout costs is refused",
         expect(run(bench, plugin, "", 1, "--gate", "0.5")[0], 2, "--gate")),
    ]
    print(f"1..{len(tests)}")
    for number, (name, problems) in enumerate(tests, 1):
        for problem in problems:
            print(f"# {problem}")
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    return 1 if any(problems for _, problems in tests) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
