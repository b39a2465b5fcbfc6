#!/usr/bin/env python3
"""bench.py SOURCE_ROOT BUILD_ROOT - drives mistral-bench as a user does: another day's file, the history,
the claims, and what is said about a mistake. Prints TAP.

Nothing here depends on how fast the machine is: times are compared only where they are made up."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

SOURCE, BUILD = (os.path.abspath(one) for one in sys.argv[1:3])
BENCH = os.path.join(BUILD, "tools", "mistral-bench")
PLUGINS = os.path.join(BUILD, "tests", "plugins")
QUICK = ["synthetic:probe", "--prompt", "20", "--generate", "6", "--max-time", "0.05", "--min-time",
         "0", "--threads", "1", "--backend", "reference"]
CLAIMS = ["attention_pairs", "attention_time", "cache_8k", "cache_32k", "reach", "chunk_memory",
          "prefill_16k"]


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def run(*arguments, code):
    done = subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False,
                          timeout=280, stdin=subprocess.DEVNULL)
    expect(done.returncode == code, f"{' '.join(arguments)}: exit code {done.returncode}, expected "
                                    f"{code}: {done.stderr.strip()} {done.stdout[-400:]}")
    return done


def has(text, *fragments):
    for one in fragments:
        expect(one in text, f"expected '{one}' in: {text[-1500:]}")


def one_line(done, *fragments):
    lines = done.stderr.strip().splitlines()
    expect(len(lines) == 1, f"expected one line on stderr: {done.stderr}")
    has(lines[0], *fragments)


def validate(document):
    try:
        import jsonschema
        with open(os.path.join(SOURCE, "reports", "schema", "mistral-bench-1.schema.json"),
                  encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
    except (ImportError, AttributeError):
        print("# no jsonschema: the schema was not asked")
        return
    expect(not list(validator.iter_errors(document)),
           "; ".join(f"{one.json_path}: {one.message}" for one in validator.iter_errors(document)))


def make_baseline(folder, change=lambda document: None):
    path = os.path.join(folder, "base.json")
    run(*QUICK, "--output", path, code=0)
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    change(document)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return path


def made_up(rate):
    """Every row with another rate, and without doubts."""
    def change(document):
        for row in document["runs"]:
            row["tokens_per_s"] = {"median": rate, "ci95": [rate * 0.99, rate * 1.01]}
            row["warnings"] = []
    return change


# ---- another day ----

def is_open_ended(row):
    """A machine so slow that a row had too few samples for an interval: nothing can be said."""
    return row["verdict"] == "inconclusive" and "inf" in row["ratio"]["ci95"]


def a_faster_machine_than_another_day_is_faster(folder):
    path = make_baseline(folder, made_up(1e-3))
    document = json.loads(run(*QUICK, "--baseline", path, "--format", "json", code=0).stdout)
    validate(document)
    rows = [row for row in document["comparison"] if row["method"] == "baseline"]
    expect(len(rows) == 2 and all(row["verdict"] == "faster" or is_open_ended(row) for row in rows),
           f"{rows}")
    for row in rows:
        has(row["reason"], "compare builds with --vs" if is_open_ended(row) else "weaker than --vs")
    work = [row for row in document["comparison"] if row["method"] == "work"]
    expect(len(work) == 2 and all(row["verdict"] == "same" for row in work), f"{work}")


def a_slower_one_is_slower_or_disturbed(folder):
    path = make_baseline(folder, made_up(1e12))
    done = subprocess.run([BENCH, *QUICK, "--baseline", path, "--format", "json"], check=False,
                          capture_output=True, text=True, timeout=100)
    rows = [row for row in json.loads(done.stdout)["comparison"] if row["method"] == "baseline"]
    for row in rows:
        expect(row["verdict"] == "slower" or "disturbed" in row["reason"] or is_open_ended(row),
               f"{row}")
    expect(done.returncode == int(any(row["verdict"] == "slower" for row in rows)),
           f"exit code {done.returncode}: {rows}")


def work_that_grew_since_another_day_fails(folder):
    def change(document):
        made_up(1e-3)(document)
        for row in document["runs"]:
            row["work"]["output_multiply_adds"] -= 1
    has(run(*QUICK, "--baseline", make_baseline(folder, change), code=1).stdout,
        "output_multiply_adds grew from")


def what_cannot_be_compared_is_refused_with_the_field(folder):
    path = make_baseline(folder)
    for arguments, field in ((["--seed", "5"], "seed"), (["--threads", "2"], "threads"),
                             (["--compute", "f64"], "compute"), (["--prompt", "21"], "prompt"),
                             (["--window", "4"], "window"), (["--chunk", "3"], "chunk"),
                             (["--depth", "3"], "depth"), (["--batch", "2"], "batch")):
        one_line(run(*QUICK, *arguments, "--baseline", path, code=3), path, f"{field} differs: '")
    one_line(run("synthetic:probe,dim=64", *QUICK[1:], "--baseline", path, code=3), "differs: '")


def another_machine_is_refused(folder):
    def change(document):
        document["environment"]["cpu_model"] = "another"
    one_line(run(*QUICK, "--baseline", make_baseline(folder, change), code=3),
             "cpu_model differs: 'another' there")


def a_file_that_is_none_is_refused(folder):
    path = os.path.join(folder, "x.json")
    run(*QUICK, "--baseline", path, code=3)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"schema": "mistral-verify/1"}')
    one_line(run(*QUICK, "--baseline", path, code=3), path, "schema")


# ---- history ----

def a_comparison_is_recorded_and_another_anchor_refused(folder):
    path = os.path.join(folder, "h.jsonl")
    versus = ["--vs", "reference", "--max-time", "1", "--record", path]
    for _ in range(2):
        run(*QUICK, *versus, code=0)
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    expect(len(lines) == 4, f"{len(lines)} lines")
    expect(all(line["schema"] == "mistral-bench-history/1" and line["ratio"] > 0
               and line["anchor"] == line["candidate"] for line in lines), f"{lines}")
    other = os.path.join(PLUGINS, "mistral_slow.so")
    one_line(run(*QUICK[:-1], other, *versus, code=3), "anchor differs")


# ---- time by op ----

def a_profile_adds_up_and_is_only_there_when_asked_for(_):
    document = json.loads(run(*QUICK, "--profile", "--format", "json", code=0).stdout)
    validate(document)
    for row in document["runs"]:
        profile = row["profile"]
        times = sum(op["ns_median"] for op in profile["ops"]) + profile["untapped_ns"]
        expect(times == profile["total_ns"] and profile["ratio_to_timed"] > 0, f"{profile}")
    document = json.loads(run(*QUICK, "--format", "json", code=0).stdout)
    expect(all("profile" not in row for row in document["runs"]), "a profile that nobody wanted")
    done = run("synthetic:probe", "--max-time", "0.05", "--min-time", "0", "--threads", "1",
               "--backend", "null", "--no-check", "--profile", code=1)
    has(done.stderr, "backend null has no taps: no time by op")


# ---- claims ----

def the_claims_are_seven_rows(_):
    done = subprocess.run([BENCH, "--claims", "--backend", "reference", "--format", "json"],
                          check=False, capture_output=True, text=True, timeout=280)
    document = json.loads(done.stdout)
    validate(document)
    rows = {row["id"]: row for row in document["claims"]}
    expect(list(rows) == CLAIMS, f"{list(rows)}")
    expect(all(row["predicted"] and row["measured"] and row["how"] for row in rows.values()), "")
    # What is counted is exact; what is timed depends on the machine.
    for name in ("attention_pairs", "cache_8k", "cache_32k", "reach", "chunk_memory"):
        expect(rows[name]["holds"], f"{rows[name]}")
    has(rows["attention_pairs"]["measured"], "2.28")
    has(rows["prefill_16k"]["measured"], "1.153 in multiply-adds")
    expect(done.returncode == int(not all(row["holds"] for row in rows.values())),
           f"exit code {done.returncode}")


def a_window_that_is_one_too_wide_reaches_too_far(_):
    done = run("--claims", "--backend", os.path.join(PLUGINS, "off_by_one.so"), code=1)
    has(done.stdout, "BROKEN    a token reaches exactly n_layers (W - 1) positions on",
        "predicted 28 positions, measured 32 positions")


# ---- usage ----

def options_that_exclude_or_need_each_other_are_refused(_):
    for arguments, text in ((["--vs", "a", "--baseline", "b"], "--vs and --baseline"),
                            (["--claims", "--vs", "a"], "--claims and --vs"),
                            (["--claims", "--baseline", "a"], "--claims and --baseline"),
                            (["--claims", "synthetic:probe"], "--claims and MODEL"),
                            (["--profile", "--vs", "a"], "--profile and --vs"),
                            (["--profile", "--claims"], "--profile and --claims"),
                            (["--record", "h.jsonl"], "--record needs --vs"),
                            (["--gate", "5"], "--gate needs --vs or --baseline"),
                            (["--order", "alphabetic"], "--order"),
                            (["--claims", "--backend", "reference,null"], "--claims")):
        one_line(run(*arguments, code=2), text)


def the_examples_for_ci_use_options_that_exist(_):
    known = set(re.findall(r"--[a-z][a-z-]*", run("--help", code=0).stdout))
    for name in ("github-actions.yml", "gitlab-ci.yml"):
        with open(os.path.join(SOURCE, "docs", "ci", name), encoding="utf-8") as file:
            text = file.read()
        command = re.search(r"build/tools/mistral-bench\b.*?gate\.json", text, re.S)
        expect(command is not None, f"{name}: no command that writes gate.json")
        options = re.findall(r"(?<![\w.-])--[a-z][a-z-]*", command[0])
        expect({"--backend", "--vs", "--gate", "--output"} <= set(options), f"{name}: {options}")
        expect(set(options) <= known, f"{name}: {set(options) - known} is not in --help")


def rows_come_in_the_order_of_the_lists(_):
    for order in ("random", "given"):
        document = json.loads(run(*QUICK, "--chunk", "0,5,7", "--order", order, "--format", "json",
                                  code=0).stdout)
        expect([row["chunk"] for row in document["runs"]] == [0, 5, 7, 0], f"{document['runs']}")
        expect(document["environment"]["order"] == order, f"{document['environment']}")


def quiet_prints_the_verdict_alone(_):
    done = run(*QUICK, "-q", code=0)
    expect(re.fullmatch(r"2 rows in [\d.]+ s\n", done.stdout), done.stdout)
    has(run(*QUICK, "-q", "--no-check", code=1).stdout, "unchecked: reference")


TESTS = [
    quiet_prints_the_verdict_alone,
    a_faster_machine_than_another_day_is_faster,
    a_slower_one_is_slower_or_disturbed,
    work_that_grew_since_another_day_fails,
    what_cannot_be_compared_is_refused_with_the_field,
    another_machine_is_refused,
    a_file_that_is_none_is_refused,
    a_comparison_is_recorded_and_another_anchor_refused,
    the_claims_are_seven_rows,
    a_window_that_is_one_too_wide_reaches_too_far,
    options_that_exclude_or_need_each_other_are_refused,
    the_examples_for_ci_use_options_that_exist,
    rows_come_in_the_order_of_the_lists,
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(folder)
                print(f"ok {number} - {test.__name__}")
            except (Wrong, subprocess.TimeoutExpired, ValueError, KeyError) as why:
                failed += 1
                print(f"not ok {number} - {test.__name__}")
                print("\n".join(f"# {line}" for line in str(why).splitlines()))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
