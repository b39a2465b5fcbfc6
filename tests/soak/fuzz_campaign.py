#!/usr/bin/env python3
"""fuzz_campaign.py - runs the fuzzers in turn, one process at a time, and counts their executions.

usage: fuzz_campaign.py BUILD WORK [--target NAME[,...]] [--goal N] [--slice SECONDS] [--hours H]

BUILD is a folder as tests/fuzz/README.md sets it up. WORK keeps what the fuzzers grow
(WORK/grown/TARGET), what they find (WORK/found-TARGET-...), their logs, and the count
(WORK/executions.json): stop it with Ctrl-C or a kill and start it again, and it goes on. The target
with the fewest executions is next. Ends when all have reached the goal, at the hour, or at the first
finding (exit code 1).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus")
# A model of pieces for all bytes has 5 KB, the parts of a small model 3, a golden of two cases 5.
MOST_BYTES = {"golden": 8192, "hf": 8192, "tokenizer": 16384}
USUAL_MOST_BYTES = 4096
PATIENCE_S = 120  # by the clock: at nice 19 on a busy machine, 10 ms of work once took 14 s
# Short stacks of allocations and a small quarantine: a third of the time of short runs otherwise.
ASAN = "malloc_context_size=2:quarantine_size_mb=16"


def read_counts(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def write_counts(path, counts):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(counts, file, indent=1, sort_keys=True)
    os.replace(path + ".new", path)


def run_slice(build, work, target, seconds):
    """(executions, exit code, the end of what it said)"""
    grown = os.path.join(work, "grown", target)
    os.makedirs(grown, exist_ok=True)
    command = [os.path.join(build, "tests", "fuzz", "fuzz_" + target),
               f"-max_total_time={seconds}", f"-max_len={MOST_BYTES.get(target, USUAL_MOST_BYTES)}",
               "-rss_limit_mb=2048", f"-timeout={PATIENCE_S}", "-print_final_stats=1", "-verbosity=0",
               f"-artifact_prefix={os.path.join(work, 'found-' + target + '-')}",
               grown, os.path.join(CORPUS, target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, "ASAN_OPTIONS": ASAN})
    text = done.stdout.decode(errors="replace")
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
    return int(found.group(1)) if found else 0, done.returncode, text[-6000:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("--target", default=",".join(sorted(os.listdir(CORPUS))))
    parser.add_argument("--goal", type=float, default=1e7)
    parser.add_argument("--slice", type=int, default=60)
    parser.add_argument("--hours", type=float, default=1e6)
    options = parser.parse_args()
    os.nice(19)
    os.makedirs(options.work, exist_ok=True)
    path = os.path.join(options.work, "executions.json")
    end = time.monotonic() + 3600 * options.hours
    while time.monotonic() < end:
        counts = read_counts(path)
        target = min(options.target.split(","), key=lambda name: counts.get(name, 0))
        if counts.get(target, 0) >= options.goal:
            print("all have reached the goal", counts)
            return 0
        n, code, text = run_slice(options.build, options.work, target, options.slice)
        counts = read_counts(path)  # another campaign, of other targets, may share the file
        counts[target] = counts.get(target, 0) + n
        write_counts(path, counts)
        print(time.strftime("%H:%M:%S"), target, n, counts[target], flush=True)
        if code != 0:
            print(text, f"\n{target}: exit code {code}; see {options.work}/found-{target}-*")
            return 1
    print("the time is over", read_counts(path))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
