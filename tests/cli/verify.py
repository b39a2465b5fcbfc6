#!/usr/bin/env python3
"""verify.py - drives mistral-verify as a user does: exit codes, what is on stdout and on stderr, the
formats, and what is said about a mistake. Prints TAP.

usage: verify.py SOURCE_ROOT BUILD_ROOT
"""
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import hf_copy  # noqa: E402 (beside this file; leaves no cache)

SOURCE, BUILD = (os.path.abspath(one) for one in sys.argv[1:3])
VERIFY = os.path.join(BUILD, "tools", "mistral-verify")
MODEL_TOOL = os.path.join(BUILD, "tools", "mistral-model")
PLUGINS = os.path.join(BUILD, "tests", "plugins")
OFF_BY_ONE = os.path.join(PLUGINS, "off_by_one.so")
GOLDEN = os.path.join(SOURCE, "tests", "data", "golden_small")
MODELS = os.environ.get("MISTRAL_TEST_MODELS", os.path.join(SOURCE, "..", "shared", "models"))
STORIES = os.path.join(MODELS, "stories260k")
QUICK = ["--suite", "determinism"]
LIMIT_S = 120


class Skip(Exception):
    """Why a test cannot be run here."""


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def run(*arguments, code=None, program=VERIFY, cwd=None, **variables):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False,
                          cwd=cwd, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
                          env={**os.environ, **variables})
    if code is not None:
        expect(done.returncode == code,
               f"{shlex.join(arguments)}: exit code {done.returncode}, expected {code}: "
               f"{done.stderr.strip()} {done.stdout[-300:]}")
    return done


def has(text, *fragments):
    for one in fragments:
        expect(one in text, f"expected '{one}' in: {text[-1500:]}")


def run_json(*arguments, code=0):
    return json.loads(run(*arguments, "--format", "json", code=code).stdout)


# ---- runs ----

def the_default_run_passes():
    done = run(code=0)
    has(done.stdout, "synthetic:probe", "backend reference", "chunking", "determinism", "pass: ")
    expect(done.stderr == "", f"on stderr: {done.stderr}")


def quiet_prints_the_verdict_alone():
    done = run("-q", *QUICK, code=0)
    expect(re.fullmatch(r"pass: \d+ cases, 0 failed, .* in [\d.]+ s\n", done.stdout),
           f"on stdout: {done.stdout}")
    has(run("--quiet", "--suite", "window", "--backend", OFF_BY_ONE, code=1).stdout, "W+1", "fail: ")


def a_window_of_one_too_many_is_called_by_its_name():
    done = run("--suite", "window", "--backend", OFF_BY_ONE, code=1)
    has(done.stdout, "the engine's effective window is W+1 = 9 where 8 was asked for")
    expect(done.stderr == "", f"on stderr: {done.stderr}")


def a_failed_case_is_traced_to_its_layer_and_operation():
    # Also cases of several calls and of several sequences: what is replayed is what failed.
    for mutant, suite, layer, op in (("scale_by_dim", "chunking", 0, "attention"),
                                     ("rope_restarts_with_chunk", "chunking", 0, "q"),
                                     ("gate_up_swapped_one_layer", "decode_vs_prefill", 1, "gate"),
                                     ("window_plus_1_one_layer", "batching", 1, "attention")):
        document = run_json("--backend", "mutant", "--backend-option", f"mutant={mutant}",
                            "--suite", suite, "--localize", code=1)
        found = next(case["first_divergence"] for case in document["cases"]
                     if case["verdict"] == "fail")
        expect((found.get("layer"), found.get("op")) == (layer, op),
               f"{mutant} in {suite}: {found}, expected layer {layer}, {op}")


def the_reproduce_line_reproduces():
    document = run_json("--suite", "chunking", "--backend", OFF_BY_ONE, "--seed", "7", code=1)
    one = next(case for case in document["cases"] if case["verdict"] == "fail")
    words = shlex.split(one["reproduce"])
    expect(words[0] == "mistral-verify", one["reproduce"])
    again = run_json(*words[1:], code=1)["cases"]
    expect(len(again) == 1, f"{len(again)} cases of: {one['reproduce']}")
    for key in ("suite", "case", "verdict", "metrics", "worst", "reason"):
        expect(again[0][key] == one[key], f"{key}: {again[0][key]}, expected {one[key]}")


def the_reproduce_line_is_quoted_for_a_shell_and_whole():
    probe = ["--suite", "chunking", "--chunk", "3", "--model", "tiny"]
    for text in ("it's \"50 $HOME\" `x` \\ *", "two\nlines\tand it's \\n", "plain-words," * 4, "x" * 250):
        one = run_json(*probe, "--threads", "2", "--text", text)["cases"][0]
        has(one["reproduce"], " --threads 2")
        words = subprocess.run(["bash", "-c", 'eval "set -- $1"; printf "%s\\0" "$@"', "bash",
                                one["reproduce"]], capture_output=True, text=True, check=True,
                               timeout=LIMIT_S).stdout.split("\0")[:-1]
        expect(words[words.index("--text") + 1] == text, f"{text}: {one['reproduce']}")
        again = run_json(*words[1:])["cases"]
        expect([(c["case"], c["metrics"]) for c in again] == [(one["case"], one["metrics"])],
               f"another outcome: {one['reproduce']}")
    long = [run_json(*probe, "--text", letter * 600)["cases"][0]["reproduce"] for letter in "ab"]
    has(long[0], "--text @FILE-WITH-THE-600-BYTES-OF-CRC32-", "--filter")
    expect(long[0] != long[1], "two texts, one line: --resume would take one for the other")


def a_users_chunks_may_be_written_around_the_window():
    document = run_json("--suite", "chunking", "--chunk", "W-1,W,W+1")
    seen = {(case["window"], case["chunk"]) for case in document["cases"]}
    expect({(8, 7), (8, 8), (8, 9), (7, 6), (7, 7), (7, 8), (8, 0)} <= seen, f"tried {seen}")
    document = run_json("--suite", "chunking", "--window", "W,1", "--chunk", "W-1,T")
    seen = {(case["window"], case["chunk"]) for case in document["cases"]}
    expect(seen == {(8, 0), (8, 7), (8, 40), (1, 0), (1, 40)}, f"tried {seen}")


def several_backends_are_each_run_and_one_that_cannot_is_skipped():
    missing = os.path.join(PLUGINS, "mistral_unavailable.so")
    document = run_json(*QUICK, "--backend", "reference," + missing)
    verdicts = {case["backend"]: case["verdict"] for case in document["cases"]}
    expect(verdicts == {"reference": "pass", missing: "skip"}, f"{verdicts}")
    document = run_json("--suite", "window", "--backend", f"{OFF_BY_ONE},{missing}", code=1)
    expect(document["verdict"] == "fail", "a skip hides a failure")


def shards_are_the_whole_and_no_case_twice():
    listed = run("--list", "--suite", "ring,batching", code=0).stdout.splitlines()
    expect(len(listed) > 30 and len(set(listed)) == len(listed), f"{len(listed)} cases listed")
    parts = []
    for i in "123":
        parts += [f"{case['suite']}/{case['case']}"
                  for case in run_json("--suite", "ring,batching", "--shard", f"{i}/3")["cases"]]
    expect(sorted(parts) == sorted(listed), f"{len(parts)} of {len(listed)} cases in the shards")


def the_list_names_suites_formats_and_backends():
    text = run("--list", code=0).stdout
    has(text, "suites:", "chunking", "formats:", "junit", "backends:", "reference")


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


def an_underscore_is_a_dash_in_an_option_and_itself_in_a_value():
    case = run_json(*QUICK, "--backend_option", "my_key=my_value", code=4)["cases"][0]
    has(case["reason"], "my_key")
    has(case["reproduce"], "--backend-option my_key=my_value")
    for words in (["--filter", "decode_vs_prefill/*"], ["--filter=decode_vs_prefill/*"]):
        cases = run_json(*words)["cases"]
        expect(cases and all(case["suite"] == "decode_vs_prefill" for case in cases), f"{words}")
    cases = run_json("--suite", "decode-vs-prefill")["cases"]
    expect(cases[0]["suite"] == "decode_vs_prefill", "a suite may be named with a dash")
    spoken = run("--text", "--under_score", *QUICK, code=2).stderr
    has(spoken, "--text needs a tokenizer")  # a value, although it looks like an option


# ---- formats ----

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


def the_junit_parses_and_counts():
    text = run("--suite", "window", "--backend", OFF_BY_ONE, "--format", "junit", code=1).stdout
    root = xml.etree.ElementTree.fromstring(text)
    cases, failures = list(root.iter("testcase")), list(root.iter("failure"))
    expect(cases and failures, "no cases or no failures")
    for name, found in (("tests", cases), ("failures", failures)):
        total = sum(int(one.get(name)) for one in root.iter("testsuite"))
        expect(total == len(found), f"{name} says {total}, and there are {len(found)}")


def the_tap_has_a_line_for_each_of_its_plan():
    for arguments, code in (([], 0), (["--backend", OFF_BY_ONE], 1)):
        text = run("--suite", "window", *arguments, "--format", "tap", code=code).stdout
        plan = int(re.search(r"^1\.\.(\d+)$", text, re.MULTILINE).group(1))
        lines = re.findall(r"^(ok|not ok) (\d+)\b", text, re.MULTILINE)
        expect([int(number) for _, number in lines] == list(range(1, plan + 1)), f"plan {plan}")
        expect(any(word == "not ok" for word, _ in lines) == (code == 1), f"{lines}")


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


# ---- the terminal ----

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


def colours_are_for_terminals_that_want_them():
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    os.environ.clear()
    os.environ.update(environment)
    expect("\033[" in run_on_terminal(*QUICK), "no colour on a terminal")
    expect("\033[" in run_on_terminal(*QUICK, NO_COLOR=""), "an empty NO_COLOR asks for nothing")
    expect("\033[" not in run_on_terminal(*QUICK, NO_COLOR="1"), "NO_COLOR was not heard")
    expect("\033[" not in run_on_terminal(*QUICK, TERM="dumb"), "colour on a dumb terminal")
    expect("\033[" not in run(*QUICK, code=0, TERM="xterm").stdout, "colour in a pipe")


# ---- exit codes ----

def each_exit_code_has_its_situation():
    """0 and 1 are in the tests above; 2, 3 and 77 also in the table of mistakes."""
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


def a_result_that_cannot_be_written_is_an_error():
    for arguments in (QUICK, ["--list"], [*QUICK, "--format", "json"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([VERIFY, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False, timeout=LIMIT_S)
        expect(done.returncode == 3, f"{arguments}: exit code {done.returncode}")
        expect(done.stderr.count("\n") == 1, f"{arguments}: {done.stderr}")


# ---- runs that end early, or never begin ----

WRONG = ["--backend", "mutant", "--backend-option", "mutant=window_plus_1"]


def three_failures_of_a_suite_are_localised_and_the_others_counted():
    done = run(*WRONG, "--suite", "chunking", "--localize", code=1)
    n_failed = int(re.search(r"(\d+) failed", done.stdout)[1])
    has(done.stderr, f"chunking: {n_failed - 3} more failures of this suite were not localised")
    done = run(*WRONG, "--filter", "chunking/window 8 whole", "--localize", code=1)
    expect("not localised" not in done.stderr, done.stderr)


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


def a_filter_that_matches_nothing_is_said_in_one_line():
    for arguments, words in ((["--suite", "ring"], "'no/such': no case has such a name; --list "
                              "--suite ring names them"),
                             (["--shard", "1/2"], "'no/such': no case of this shard has")):
        done = run("--filter", "no/such", *arguments, code=5)
        has(done.stderr, "mistral-verify: error: --filter " + words)
        expect(done.stderr.count("\n") == 1, done.stderr)


def a_chunk_of_0_is_the_whole_prompt():
    names = [run("--list", "--suite", "chunking", "--length", "50", "--chunk", one, code=0).stdout
             for one in ("0,7", "T,7", "50,0,7")]
    expect(names[0] == names[1] == names[2] and "chunk 50\n" in names[0], names[0])
    run("--suite", "chunking", "--chunk", "0", code=0)


def a_path_may_have_a_comma_in_it():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a,b", "x,y.so")
        os.mkdir(os.path.dirname(path))
        shutil.copy(OFF_BY_ONE, path)
        document = run_json("--suite", "ring", "--backend", f"reference,{path},reference", code=1)
        expect({case["backend"] for case in document["cases"]} == {"reference", path},
               "other backends")
        run("--suite", "ring", "--backend", path, code=1)


def a_folder_that_may_not_be_read_is_said_to_be_one():
    as_other = {"user": 65534} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        locked = os.path.join(folder, "locked")
        os.mkdir(locked, 0o000)
        table = [(["--model", locked], 3, "locked: Permission denied"),
                 (["--output", os.path.join(locked, "r.json")], 2, "cannot write in folder"),
                 (["--resume", os.path.join(locked, "r.json"), *QUICK], 3, "Permission denied"),
                 (["--backend", os.path.join(locked, "x.so")], 3, "Permission denied"),
                 (["--backend", "nosuch"], 2, "locked (cannot be read: Permission denied)")]
        try:
            for arguments, code, words in table:
                done = subprocess.run([VERIFY, *arguments], capture_output=True, text=True,
                                      check=False, timeout=LIMIT_S, **as_other,
                                      env={**os.environ, "MISTRAL_BACKEND_DIR": locked})
                expect(done.returncode == code and words in done.stderr,
                       f"{arguments}: {done.returncode}: {done.stderr}")
                expect(done.stderr.count("\n") == 1, done.stderr)
        except PermissionError as error:
            raise Skip("the program itself is where others may not read") from error
        finally:
            os.chmod(locked, 0o700)


# ---- mistakes ----

def make_bad_files(folder):
    """{name: path} of models and plugins that are none."""
    paths = {name: os.path.join(folder, name) for name in ("empty", "cut", "text.so", "no_such")}
    os.mkdir(paths["empty"])
    os.mkdir(paths["cut"])
    for name in ("params.json", "consolidated.safetensors"):
        with open(os.path.join(GOLDEN, name), "rb") as file:
            data = file.read()
        if name == "params.json":
            with open(os.path.join(paths["empty"], name), "wb") as file:
                file.write(data)
        else:
            data = data[:-10]
        with open(os.path.join(paths["cut"], name), "wb") as file:
            file.write(data)
    with open(paths["text.so"], "w", encoding="utf-8") as file:
        file.write("not an ELF file, whatever its name says\n")
    return paths


def mistakes(paths):
    """(arguments, exit code, fragments of the one line)"""
    return [
        (["--suite", "chunkin"], 2, ["no suite 'chunkin'", "did you mean chunking?"]),
        (["--suite", ""], 2, ["--suite: expected a name"]),
        (["--suite", ","], 2, ["--suite: expected a name"]),
        (["--suite", "zzzzzz"], 2, ["no suite 'zzzzzz'", "see --list"]),
        (["--backend", "referense"], 2, ["referense", "did you mean", "reference"]),
        (["--backend", ""], 2, ["--backend: expected a name"]),
        (["--backend", ","], 2, ["--backend: expected a name"]),
        (["--backend", paths["no_such"] + ".so"], 2, ["no_such.so"]),
        (["--backend", paths["text.so"]], 3, ["text.so", "ELF"]),
        (["--backend", os.path.join(PLUGINS, "mistral_major.so")], 3,
         ["mistral_major.so: expected backend ABI 1.x", "found 2.0"]),
        (["--backend", os.path.join(PLUGINS, "mistral_unavailable.so")], 77,
         ["cannot run here: no flux capacitor"]),
        (["--backend-option", "novalue"], 2, ["--backend-option: expected KEY=VALUE"]),
        (["--backend-option", "=x"], 2, ["--backend-option: expected KEY=VALUE"]),
        (["--sute", "window"], 2, ["unknown option '--sute'", "did you mean --suite?"]),
        (["--qqqqqq"], 2, ["unknown option '--qqqqqq'", "--help"]),
        (["-Z"], 2, ["unknown option '-Z'"]),
        (["--suite"], 2, ["--suite: missing argument"]),
        (["--format", "jason"], 2, ["no format 'jason'", "did you mean json?"]),
        (["--format", "zzzz"], 2, ["no format 'zzzz'", "see --list"]),
        (["--output", "r.unknown"], 2, ["r.unknown", "no format has this extension"]),
        (["--output", os.path.join(paths["no_such"], "r.json")], 2, ["cannot write in folder"]),
        (["--output", os.path.join(paths["text.so"], "r.json")], 2, ["cannot write in folder"]),
        (["--output", paths["empty"], "--format", "json"], 2, ["expected a file, found a folder"]),
        ([*QUICK, "--output", "/dev/full", "--format", "json"], 3, ["/dev/full", "No space left"]),
        (["--chunk", "-1"], 2, ["--chunk '-1'"]),
        (["--maxfail", "0"], 2, ["--maxfail: expected at least 1, found 0"]),
        (["--maxfail", "2", "--self-test"], 2, ["--maxfail: a self-test"]),
        (["--chunk", "1,,2"], 2, ["--chunk '1,,2'", "at character 3"]),
        (["--chunk", "9..1"], 2, ["'9..1'", "a rising range"]),
        (["--chunk", "abc"], 2, ["--chunk 'abc'"]),
        (["--window", "-1"], 2, ["--window '-1'"]),
        (["--window", "99999999999999999999"], 2, ["a smaller number"]),
        (["--window", "1..1000"], 2, ["more than 256 values"]),
        (["--window", "W", "synthetic:probe,sliding_window=0"], 2,
         ["--window 'W'", "a symbol that has a value here"]),
        (["--length", "0"], 2, ["--length: expected at least 1, found 0"]),
        (["--length", "-3"], 2, ["--length: expected at least 1, found -3"]),
        (["--length", "many"], 2, ["--length", "numeric"]),
        (["--length", "2000000000"], 4, ["the logits of 2000000000 tokens", "--length"]),
        (["--seed", "x"], 2, ["--seed: expected a whole number", "'x'"]),
        (["--seed", "-1"], 2, ["--seed: expected a whole number", "'-1'"]),
        (["--seed", "18446744073709551616"], 2, ["--seed: expected a whole number below 2^64"]),
        (["--threads", "-1"], 2, ["--threads"]),
        (["--threads", "x"], 2, ["--threads", "numeric"]),
        (["--compute", "f16"], 2, ["f16", "f32", "bf16"]),
        (["--shard", "0/3"], 2, ["--shard: expected I/N", "'0/3'"]),
        (["--shard", "4/3"], 2, ["--shard: expected I/N"]),
        (["--shard", "-3/-1"], 2, ["--shard: expected I/N"]),
        (["--shard", "1/2x"], 2, ["--shard: expected I/N"]),
        (["--shard", "2"], 2, ["--shard: expected I/N"]),
        (["--text", "words"], 2, ["--text needs a tokenizer.model", "synthetic:probe"]),
        (["--model", "synthetic:prob"], 2, ["no synthetic model 'prob'", "did you mean probe?"]),
        (["synthetic:probe,n_layer=2"], 2, ["unknown key \"n_layer\"", "\"n_layers\""]),
        (["synthetic:7b,n_layers=10000"], 4, ["GiB", "n_layers=N"]),
        (["--model", "synthetic:probe", "synthetic:7b"], 2, ["two models", "synthetic:7b"]),
        (["synthetic:probe", "synthetic:7b"], 2, ["unexpected argument 'synthetic:7b'"]),
        ([paths["no_such"]], 3, ["no_such"]),
        ([paths["empty"]], 3, ["empty", "consolidated"]),
        ([paths["cut"]], 3, ["consolidated.safetensors"]),
        (["two\nlines\x1b[31m"], 3, ["two\\nlines\\x1b[31m"]),
    ]


def a_mistake_costs_one_line_and_its_exit_code():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for arguments, code, fragments in mistakes(make_bad_files(folder)):
            done = run(*arguments)
            said = done.stderr
            problems = [f"not said: {one}" for one in fragments if one not in said]
            if done.returncode != code:
                problems.append(f"exit code {done.returncode}, expected {code}")
            if said.count("\n") != 1 or not said.startswith("mistral-verify: error: "):
                problems.append("not one line")
            if done.stdout:
                problems.append(f"on stdout: {done.stdout[:200]}")
            if problems:
                wrong.append(f"{arguments}: {'; '.join(problems)}: {said.strip()}")
    expect(not wrong, "\n".join(wrong))


# ---- models ----

def judge(folder):
    """The hash of a model, and what was measured on it, case by case."""
    document = run_json("--model", folder, "--suite", "chunking,batching", "--length", "60")
    return (document["model"]["weights_sha256"],
            [(case["suite"], case["case"], case["metrics"], case["worst"]) for case in
             document["cases"]])


def the_same_weights_in_another_layout_are_the_same_model():
    with tempfile.TemporaryDirectory() as folder:
        hf_copy.write_hf(GOLDEN, folder)
        expect(judge(folder) == judge(GOLDEN), "Hugging Face's layout is another model")


def a_converted_model_is_the_same_model():
    if not os.access(MODEL_TOOL, os.X_OK):
        raise Skip("mistral-model is not built")
    original = judge(GOLDEN)
    with tempfile.TemporaryDirectory() as folder:
        for layout in ("pth", "hf", "mistral"):
            path = os.path.join(folder, layout)
            run("convert", GOLDEN, "-o", path, "--to", layout, code=0, program=MODEL_TOOL)
            expect(judge(path) == original, f"{layout}: another model")


def a_text_goes_through_the_models_tokenizer():
    if not os.path.exists(os.path.join(STORIES, "tokenizer.model")):
        raise Skip(f"{STORIES} is not there (set MISTRAL_TEST_MODELS)")
    text = "Once upon a time, there was a little girl who had a red ball and a big dog."
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "story.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        ways = [run_json("--model", STORIES, *QUICK, "--text", one) for one in (text, "@" + path)]
        expect(ways[0]["cases"][0]["length"] > 15, "the length is not that of the text")
        expect([case["metrics"] for case in ways[0]["cases"]] ==
               [case["metrics"] for case in ways[1]["cases"]], "a file is not its text")
        other = run_json("--model", STORIES, *QUICK, "--text", text[::-1])
        expect(other["cases"][0]["metrics"] != ways[0]["cases"][0]["metrics"], "the text is unused")
        done = run("--model", STORIES, "--text", "@" + path + ".none")
        expect(done.returncode == 3 and "No such file" in done.stderr, done.stderr)
        done = run("--model", STORIES, "--text", "@/dev/null")
        expect(done.returncode in (0, 2, 5), f"exit code {done.returncode}: {done.stderr}")


TESTS = [
    the_default_run_passes,
    quiet_prints_the_verdict_alone,
    a_window_of_one_too_many_is_called_by_its_name,
    a_failed_case_is_traced_to_its_layer_and_operation,
    the_reproduce_line_reproduces,
    the_reproduce_line_is_quoted_for_a_shell_and_whole,
    a_users_chunks_may_be_written_around_the_window,
    several_backends_are_each_run_and_one_that_cannot_is_skipped,
    shards_are_the_whole_and_no_case_twice,
    the_list_names_suites_formats_and_backends,
    help_and_version_are_results,
    an_underscore_is_a_dash_in_an_option_and_itself_in_a_value,
    the_json_has_its_form,
    the_junit_parses_and_counts,
    the_tap_has_a_line_for_each_of_its_plan,
    each_output_is_written_and_stdout_still_has_the_text,
    colours_are_for_terminals_that_want_them,
    each_exit_code_has_its_situation,
    a_result_that_cannot_be_written_is_an_error,
    three_failures_of_a_suite_are_localised_and_the_others_counted,
    after_so_many_failures_the_rest_is_skipped_and_resumed_later,
    an_interrupted_run_says_how_far_it_came_and_leaves_whole_files,
    a_filter_that_matches_nothing_is_said_in_one_line,
    a_chunk_of_0_is_the_whole_prompt,
    a_path_may_have_a_comma_in_it,
    a_folder_that_may_not_be_read_is_said_to_be_one,
    a_mistake_costs_one_line_and_its_exit_code,
    the_same_weights_in_another_layout_are_the_same_model,
    a_converted_model_is_the_same_model,
    a_text_goes_through_the_models_tokenizer,
]


def main():
    print(f"1..{len(TESTS)}")
    n_failed = 0
    for number, test in enumerate(TESTS, 1):
        word, note = "ok", ""
        try:
            test()
        except Skip as reason:
            note = f" # SKIP {reason}"
        except (Wrong, subprocess.TimeoutExpired, ValueError, KeyError, StopIteration) as problem:
            word = "not ok"
            n_failed += 1
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
        print(f"{word} {number} - {test.__name__.replace('_', ' ')}{note}", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
