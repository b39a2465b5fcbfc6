#!/usr/bin/env python3
"""bench_vs.py MISTRAL_BENCH SLOW_PLUGIN RELINKED_PLUGIN - comparisons of builds, with planted faults. TAP.

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


def relinked(bench, plugin):
    """The reference's own objects in another order, 2 KiB further: whatever the noise, not slower."""
    done, rows = run(bench, plugin, "", 1, "--gate", "5")
    problems = expect(done, 0)
    return problems + [f"{row['key']}: {row}" for row in rows.values()
                       if row["verdict"] == "slower"]


# What each planted fault must be called: (fault, seconds for --max-time, exit codes, verdicts of the
# rows of work in prefill and decode, a counter to be named, verdicts that no row of time may have).
# Extra arithmetic and sleep show in times only, and times on a shared machine may stay open.
FAULTS = [
    ("", 1, {0}, ("same", "same"), None, {"slower"}),
    ("attention:+100%", 3, {0, 1}, ("same", "same"), None, {"same", "faster"}),
    ("sleep:+300%", 3, {0, 1}, ("same", "same"), None, {"same", "faster"}),
    ("logits-all", 0.01, {1}, ("slower", "same"), "output_multiply_adds", set()),
    ("alloc", 0.01, {1}, ("slower", "slower"), "allocations", set()),
]


def fault(bench, plugin, name, max_time, codes, work, counter, never):
    done, rows = run(bench, plugin, name, max_time)
    problems = [] if done.returncode in codes else expect(done, min(codes))
    for phase, expected in zip(("prefill", "decode"), work):
        row = rows.get(("work", phase), {"verdict": "absent", "reason": ""})
        if row["verdict"] != expected:
            problems.append(f"work of {phase}: {row['verdict']}: {row['reason']}, not {expected}")
        elif expected == "slower" and counter not in row["reason"]:
            problems.append(f"work of {phase}: {counter} is not named in: {row['reason']}")
    problems += [f"{row['key']}: {row['verdict']}" for row in rows.values()
                 if row["method"] == "interleaved" and row["verdict"] in never]
    return problems


def main(bench, plugin, relinked_plugin):
    plugin, relinked_plugin = os.path.abspath(plugin), os.path.abspath(relinked_plugin)
    tests = [
        ("the same file twice is not slower", same_file_twice(bench, plugin)),
        ("a relinked build of the same source is not slower", relinked(bench, relinked_plugin)),
        *((f"{row[0] or 'no fault'}: {', '.join(sorted(row[5])) or 'no verdict on time'} "
           f"{'never' if row[5] else 'is asked'}, exit code {' or '.join(map(str, sorted(row[2])))}",
           fault(bench, plugin, *row)) for row in FAULTS),
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
