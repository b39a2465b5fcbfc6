#!/usr/bin/env python3
"""isolate.py - engines that crash, hang or leave, and runs that are killed: what mistral-verify makes
of them with --isolate, --jobs and --resume. Prints TAP.

usage: isolate.py BUILD_ROOT
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
VERIFY = os.path.join(BUILD, "tools", "mistral-verify")
BENCH = os.path.join(BUILD, "tools", "mistral-bench")
FRAGILE = os.path.join(BUILD, "tests", "plugins", "fragile.so")
CHUNKING = ["--suite", "chunking", "--window", "8", "--format", "json"]
LIMIT_S = 120


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def run(*arguments, code):
    done = subprocess.run([VERIFY, *arguments], capture_output=True, text=True, check=False,
                          timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    expect(done.returncode == code, f"{arguments}: exit code {done.returncode}, expected {code}: "
                                    f"{done.stderr[-600:]} {done.stdout[-300:]}")
    return done


def fragile(fault, *arguments, code):
    done = run(*CHUNKING, "--backend", FRAGILE, "--backend-option", fault, *arguments, code=code)
    return json.loads(done.stdout)


def by_verdict(results, verdict):
    return [c for c in results["cases"] if c["verdict"] == verdict]


def an_engine_that_does_nothing_wrong_is_judged_as_without_isolation():
    plain = json.loads(run(*CHUNKING, code=0).stdout)
    for more in (["--isolate"], ["--jobs", "2"], ["--jobs", "5"]):
        other = json.loads(run(*CHUNKING, *more, code=0).stdout)
        expect(all(c["reproduce"].endswith(" --isolate") for c in other["cases"]), "not said")
        for one in other["cases"]:
            one["reproduce"] = one["reproduce"].removesuffix(" --isolate")
        for key in ("suite", "case", "metrics", "verdict", "reproduce"):
            expect([c[key] for c in plain["cases"]] == [c[key] for c in other["cases"]],
                   f"{more}: another {key}")


def a_crash_is_the_verdict_of_its_case_alone():
    for jobs in ("1", "3"):
        results = fragile("crash=17", "--isolate", "--jobs", jobs, code=4)
        errors = by_verdict(results, "error")
        expect([c["chunk"] for c in errors] == [17], f"errors: {errors}")
        expect("died of signal" in errors[0]["reason"], errors[0]["reason"])
        expect(len(by_verdict(results, "pass")) == len(results["cases"]) - 1 > 8, "others failed")
        expect(results["verdict"] == "error", results["verdict"])


def every_crash_is_counted():
    results = fragile("crash=1", "--isolate", code=4)  # the last call of several chunk sizes, too
    expect(len(by_verdict(results, "error")) > 1, "one error only")
    expect(len(by_verdict(results, "pass")) > 3, "nothing passed")


def an_engine_that_leaves_is_caught():
    results = fragile("exit=17", "--isolate", code=4)
    expect("exit code 3" in by_verdict(results, "error")[0]["reason"], str(results["cases"]))


def a_hang_ends_with_the_time_limit():
    results = fragile("hang=17", "--isolate", "--timeout", "1", code=4)
    errors = by_verdict(results, "error")
    expect(len(errors) == 1 and "longer than 1 s" in errors[0]["reason"], f"errors: {errors}")
    expect(len(by_verdict(results, "pass")) == len(results["cases"]) - 1, "others failed")


def a_crash_in_open_costs_all_cases_and_not_the_report():
    results = fragile("open=1", "--isolate", code=4)
    expect(len(by_verdict(results, "error")) == len(results["cases"]) > 8, "some passed")


def canary(fault, *arguments, code):
    """--suite canary on the fragile engine: its calls are of 12 tokens, and of 36."""
    return run("--suite", "canary", "--format", "json", "--backend", FRAGILE, "--backend-option",
               fault, *arguments, code=code)


def bench(fault, code):
    done = subprocess.run([BENCH, "synthetic:probe", "--prompt", "12", "--generate", "0",
                           "--max-time", "0.05", "--min-time", "0", "--threads", "1", "--backend",
                           FRAGILE, "--backend-option", fault, "--format", "json"],
                          capture_output=True, text=True, check=False, timeout=LIMIT_S)
    expect(done.returncode == code, f"{fault}: exit code {done.returncode}: {done.stderr}")
    return done


def says(done, *fragments):
    lines = done.stderr.strip().splitlines()
    expect(len(lines) == 1 and all(one in lines[0] for one in fragments),
           f"expected one line with {fragments}: {done.stderr}")
    expect(done.stdout == "", done.stdout[:200])


def an_engine_that_calls_exit_0_does_not_pass():
    says(canary("leave=12", code=4), "mistral-verify: ", "called exit() in canary / ",
         "expected it to return")
    says(bench("leave=12", 4), "mistral-bench: ", "called exit() in prefill of backend")
    results = json.loads(canary("leave=12", "--isolate", code=4).stdout)
    expect("exit code 0" in by_verdict(results, "error")[0]["reason"], str(results["cases"]))


def a_crash_without_isolate_is_said_and_ends_with_4():
    with open(VERIFY, "rb") as file:
        program = file.read()
    if b"__asan_init" in program or b"__tsan_init" in program:
        print("# a sanitizer reports crashes itself: not asked")
        return
    says(canary("crash=12", code=4), "mistral-verify: ", "crashed (SIGABRT) in canary / ",
         "--isolate")
    says(canary("open=1", code=4), "crashed (SIGABRT) in canary / 1 sequence")
    says(bench("crash=12", 4), "mistral-bench: ", "crashed (SIGABRT) in prefill of backend")


def what_an_engine_prints_is_not_in_the_report():
    for more in ([], ["--isolate"]):
        done = canary("print=12", *more, code=0)
        expect(json.loads(done.stdout)["verdict"] == "pass", done.stdout[:200])
        expect("an engine's line" in done.stderr, done.stderr)
    done = bench("print=12", 0)
    expect(json.loads(done.stdout)["schema"] == "mistral-bench/1", done.stdout[:200])
    expect("an engine's line" in done.stderr, done.stderr)


def a_report_that_cannot_be_written_is_said():
    for redirection in (">&-", ">/dev/full"):
        done = subprocess.run(["sh", "-c", f'"$0" --suite canary {redirection}', VERIFY],
                              capture_output=True, text=True, check=False, timeout=LIMIT_S)
        expect(done.returncode == 3, f"{redirection}: exit code {done.returncode}")
        says(done, "cannot write the report to stdout")


def an_open_that_gives_no_engine_is_an_error():
    for suite in ("canary", "chunking"):
        results = json.loads(canary("null=1", "--suite", suite, code=4).stdout)
        expect(results["cases"] and all(
            c["verdict"] == "error" and "open() said OK and gave no engine" in c["reason"]
            for c in results["cases"]), str(results["cases"])[:300])
    says(bench("null=1", 4), "open() said OK and gave no engine")


def a_backend_that_is_not_there_is_said_as_without_isolation():
    for more in ([], ["--isolate"]):
        done = run(*CHUNKING, *more, "--backend", "./nowhere.so", code=2)
        expect("nowhere.so" in done.stderr, done.stderr)
        expect(done.stdout == "", done.stdout)


def a_killed_run_goes_on_where_it_was():
    command = [VERIFY, "--suite", "chunking,window,ring", "--format", "json", "--backend", "reference"]
    whole = json.loads(subprocess.run(command, capture_output=True, check=True,
                                      timeout=LIMIT_S).stdout)
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept.json")
        process = subprocess.Popen([*command, "--resume", kept], stdout=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            try:
                with open(kept, encoding="utf-8") as file:
                    n = len(json.load(file)["cases"])  # whole at every moment
            except FileNotFoundError:
                n = 0
            if n >= 5 or process.poll() is not None:
                break
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT_S)
        with open(kept, encoding="utf-8") as file:
            before = {c["case"]: c for c in json.load(file)["cases"]}
        expect(len(before) >= 5, "nothing was kept")
        for more in ([], ["--isolate"]):
            again = json.loads(subprocess.run([*command, "--resume", kept, *more],
                                              capture_output=True, check=True,
                                              timeout=LIMIT_S).stdout)
            expect([(c["suite"], c["case"], c["metrics"]) for c in whole["cases"]] ==
                   [(c["suite"], c["case"], c["metrics"]) for c in again["cases"]],
                   "another outcome than in one go")


def a_resumed_run_asks_no_engine_for_what_it_knows():
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept.json")
        fragile("crash=9999", "--resume", kept, code=0)
        # the same command; an engine that would crash at once is not even opened
        results = fragile("crash=9999", "--resume", kept, "--isolate", code=0)
        expect(all(c["verdict"] == "pass" for c in results["cases"]), "not all pass")
        # another option is another case
        fragile("crash=17", "--resume", kept, "--isolate", code=4)


def a_profile_goes_through_pipes_files_and_pages_unchanged():
    mutant = ["--suite", "chunking", "--window", "8", "--chunk", "1,3,8,40", "--localize",
              "--backend", "mutant", "--backend-option", "mutant=window_plus_1_one_layer"]

    def profiles(text):
        return [(case["case"], case["divergence_profile"]) for case in json.loads(text)["cases"]
                if "divergence_profile" in case]

    plain = profiles(run(*mutant, "--format", "json", code=1).stdout)
    expect(len(plain) == 3, f"{len(plain)} profiles of 5 cases, expected those of the first 3")
    for name, profile in plain:
        wrong = [(op.get("layer"), op["op"]) for op in profile["ops"] if not op["times_limit"] <= 1]
        expect(wrong == [(1, "attention")], f"{name}: {wrong}")
        rows = [any(x > 1 for x in row) for row in profile["rows"]]
        expect(rows == [False, True, False, False], f"{name}: {rows}")
    with tempfile.TemporaryDirectory() as folder:
        kept, page = os.path.join(folder, "kept.json"), os.path.join(folder, "page.html")
        once = profiles(run(*mutant, "--isolate", "--format", "json", "--resume", kept, code=1).stdout)
        again = profiles(run(*mutant, "--isolate", "--format", "json", "--resume", kept, code=1).stdout)
        here = profiles(run(*mutant, "--format", "json", "--resume", kept, code=1).stdout)
        report = os.path.join(BUILD, "tools", "mistral-report")
        subprocess.run([report, kept, "-o", page], check=True, timeout=LIMIT_S)
        out = subprocess.run([report, "--extract", page], check=True, timeout=LIMIT_S,
                             capture_output=True).stdout
        for what, found in (("isolated", once), ("resumed in a child", again), ("resumed", here),
                            ("from the page", profiles(out))):
            expect(found == plain, f"{what}: other profiles")


def a_file_of_another_run_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept.json")
        run(*CHUNKING, "--resume", kept, code=0)
        done = run(*CHUNKING, "--resume", kept, "--model", "synthetic:probe,n_layers=2", code=3)
        expect("synthetic:probe" in done.stderr and "--resume" in done.stderr, done.stderr)
        with open(kept, "w", encoding="utf-8") as file:
            file.write('{"schema": "mistral-ver')
        run(*CHUNKING, "--resume", kept, code=3)
        done = run(*CHUNKING, "--resume", os.path.join(folder, "no", "folder.json"), code=3)
        expect("folder.json" in done.stderr or "no" in done.stderr, done.stderr)


def bad_numbers_are_refused():
    for bad in (["--jobs", "65"], ["--jobs", "-1"], ["--timeout", "-1"],
                ["--self-test", "--resume", "x.json"]):
        run(*CHUNKING, *bad, code=2)


TESTS = [
    an_engine_that_does_nothing_wrong_is_judged_as_without_isolation,
    a_crash_is_the_verdict_of_its_case_alone,
    every_crash_is_counted,
    an_engine_that_leaves_is_caught,
    a_hang_ends_with_the_time_limit,
    a_crash_in_open_costs_all_cases_and_not_the_report,
    an_engine_that_calls_exit_0_does_not_pass,
    a_crash_without_isolate_is_said_and_ends_with_4,
    what_an_engine_prints_is_not_in_the_report,
    a_report_that_cannot_be_written_is_said,
    an_open_that_gives_no_engine_is_an_error,
    a_backend_that_is_not_there_is_said_as_without_isolation,
    a_killed_run_goes_on_where_it_was,
    a_resumed_run_asks_no_engine_for_what_it_knows,
    a_profile_goes_through_pipes_files_and_pages_unchanged,
    a_file_of_another_run_is_refused,
    bad_numbers_are_refused,
]


def main():
    print(f"1..{len(TESTS)}")
    n_failed = 0
    for number, test in enumerate(TESTS, 1):
        word = "ok"
        try:
            test()
        except (Wrong, subprocess.SubprocessError, OSError, ValueError, KeyError) as problem:
            word = "not ok"
            n_failed += 1
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
        print(f"{word} {number} - {test.__name__.replace('_', ' ')}", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
