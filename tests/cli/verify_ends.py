#!/usr/bin/env python3
"""verify_ends.py - how a run of mistral-verify ends: its exit code, and what is kept and said of one
that ends early. See verify_stage.py.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from verify_stage import (  # noqa: E402
    LIMIT_S, OFF_BY_ONE, PLUGINS, QUICK, SOURCE, VERIFY, expect, has, main, run, run_json, test)


@test
def each_exit_code_has_its_situation():
    """0 and 1 are in the other files, too; 2, 3 and 77 also in the table of mistakes."""
    later = os.path.join(PLUGINS, "mistral_later.so")
    run(*QUICK, code=0)
    run("--suite", "chunking", "--backend", OFF_BY_ONE, code=1)
    run("--suite", "nothing", code=2)
    run("--model", os.path.join(SOURCE, "tests"), code=3)
    has(run(*QUICK, "--backend", later, "--compute", "bf16", code=4).stdout, "never opens")
    has(run("--length", "5", "--window", "8", code=5).stdout, "ask for a --length above 8 tokens")
    run("--suite", "ring,chunking", "--window", "20", "--length", "30", code=5)
    run("--filter", "no/such case", code=5)
    run(*QUICK, "--backend", os.path.join(PLUGINS, "mistral_unavailable.so"), code=77)
    has(run(*QUICK, "--backend", later, code=77).stderr, "has no compute type f32")


WRONG = ["--backend", "mutant", "--backend-option", "mutant=window_plus_1"]


@test
def three_failures_of_a_suite_are_localised_and_the_others_counted():
    done = run(*WRONG, "--suite", "chunking", "--localize", code=1)
    n_failed = int(re.search(r"(\d+) failed", done.stdout)[1])
    has(done.stderr, f"chunking: {n_failed - 3} more failures of this suite were not localised")
    done = run(*WRONG, "--filter", "chunking/window 8 whole", "--localize", code=1)
    expect("not localised" not in done.stderr, done.stderr)


@test
def after_so_many_failures_the_rest_is_skipped_and_resumed_later():
    for more in ([], ["--isolate"]):
        cases = run_json(*WRONG, "--suite", "chunking,window", "--maxfail", "2", *more,
                         code=1)["cases"]
        failed = [case for case in cases if case["verdict"] == "fail"]
        left = [case for case in cases if case["verdict"] == "skip"]
        expect(len(failed) == 2 and len(left) > 50, f"{len(failed)} failed, {len(left)} skipped")
        expect(all("not run after 2 failures" in case["reason"] for case in left), str(left[0]))
    done = run(*WRONG, "--suite", "chunking", "--maxfail", "1", code=1)
    has(done.stdout, "skipped: --maxfail: not run after 1 failure\n", "1 failed")
    run(*QUICK, "--maxfail", "1", code=0)
    with tempfile.TemporaryDirectory() as folder:
        journal = ["--suite", "chunking", "--resume", os.path.join(folder, "r.json")]
        expect(" 2 failed" in run(*WRONG, *journal, "--maxfail", "2", code=1).stdout, "not 2")
        whole = run(*WRONG, "--suite", "chunking", code=1).stdout
        resumed = run(*WRONG, *journal, code=1).stdout
        counts = [re.search(r"(\d+) failed.* (\d+) skipped", one).groups()
                  for one in (whole, resumed)]
        expect(counts[0] == counts[1], f"{counts}")


def interrupt(number, *arguments):
    """Ends a long run behind its first finished case."""
    with tempfile.TemporaryDirectory() as folder:
        journal = os.path.join(folder, "r.json")
        with subprocess.Popen([VERIFY, "--resume", journal, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as going:
            while not os.path.exists(journal) and going.poll() is None:
                time.sleep(0.01)
            going.send_signal(number)
            stdout, stderr = going.communicate(timeout=LIMIT_S)
        with open(journal, encoding="utf-8") as file:
            kept = len(json.load(file)["cases"])
        return going.returncode, stdout, stderr, kept, os.listdir(folder)


@test
def an_interrupted_run_says_how_far_it_came_and_leaves_whole_files():
    for number, word, more in ((signal.SIGINT, "interrupted", []),
                               (signal.SIGTERM, "terminated", []),
                               (signal.SIGINT, "interrupted", ["--isolate", "--jobs", "2"])):
        code, stdout, stderr, kept, files = interrupt(number, "--suite", "all", *more)
        expect(code == -number, f"ended with {code}, expected the signal: a shell's 128 + {number}")
        said = re.fullmatch(rf"mistral-verify: {word} after (\d+) of (\d+) \(0 failed\), in .*; what "
                            r"was finished is kept in the file of --resume\n", stderr)
        expect(said, f"not one line: {stderr!r}")
        expect(not stdout and files == ["r.json"], f"{stdout!r} {files}")
        expect(kept >= 1 and abs(kept - int(said[1])) <= 1 and int(said[2]) > 300,
               f"{kept} kept: {stderr}")


if __name__ == "__main__":
    sys.exit(main())
