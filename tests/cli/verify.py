#!/usr/bin/env python3
"""verify.py - drives mistral-verify as a user does: which cases run, what is said of an engine that
is right or wrong, and the line that runs a case again. See verify_stage.py.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from verify_stage import (  # noqa: E402
    LIMIT_S, OFF_BY_ONE, PLUGINS, QUICK, expect, has, main, run, run_json, test)


@test
def the_default_run_passes():
    done = run(code=0)
    has(done.stdout, "synthetic:probe", "backend reference", "chunking", "determinism", "pass: ")
    expect(done.stderr == "", f"on stderr: {done.stderr}")


@test
def quiet_prints_the_verdict_alone():
    done = run("-q", *QUICK, code=0)
    expect(re.fullmatch(r"pass: \d+ cases, 0 failed, .* in [\d.]+ s\n", done.stdout),
           f"on stdout: {done.stdout}")
    has(run("--quiet", "--suite", "window", "--backend", OFF_BY_ONE, code=1).stdout, "W+1", "fail: ")


@test
def a_window_of_one_too_many_is_called_by_its_name():
    done = run("--suite", "window", "--backend", OFF_BY_ONE, code=1)
    has(done.stdout, "the engine's effective window is W+1 = 9 where 8 was asked for")
    expect(done.stderr == "", f"on stderr: {done.stderr}")


@test
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


@test
def the_reproduce_line_reproduces():
    document = run_json("--suite", "chunking", "--backend", OFF_BY_ONE, "--seed", "7", code=1)
    one = next(case for case in document["cases"] if case["verdict"] == "fail")
    words = shlex.split(one["reproduce"])
    expect(words[0] == "mistral-verify", one["reproduce"])
    again = run_json(*words[1:], code=1)["cases"]
    expect(len(again) == 1, f"{len(again)} cases of: {one['reproduce']}")
    for key in ("suite", "case", "verdict", "metrics", "worst", "reason"):
        expect(again[0][key] == one[key], f"{key}: {again[0][key]}, expected {one[key]}")


@test
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


@test
def a_users_chunks_may_be_written_around_the_window():
    document = run_json("--suite", "chunking", "--chunk", "W-1,W,W+1")
    seen = {(case["window"], case["chunk"]) for case in document["cases"]}
    expect({(8, 7), (8, 8), (8, 9), (7, 6), (7, 7), (7, 8), (8, 0)} <= seen, f"tried {seen}")
    document = run_json("--suite", "chunking", "--window", "W,1", "--chunk", "W-1,T")
    seen = {(case["window"], case["chunk"]) for case in document["cases"]}
    expect(seen == {(8, 0), (8, 7), (8, 40), (1, 0), (1, 40)}, f"tried {seen}")


@test
def a_chunk_of_0_is_the_whole_prompt():
    names = [run("--list", "--suite", "chunking", "--length", "50", "--chunk", one, code=0).stdout
             for one in ("0,7", "T,7", "50,0,7")]
    expect(names[0] == names[1] == names[2] and "chunk 50\n" in names[0], names[0])
    run("--suite", "chunking", "--chunk", "0", code=0)


@test
def several_backends_are_each_run_and_one_that_cannot_is_skipped():
    missing = os.path.join(PLUGINS, "mistral_unavailable.so")
    document = run_json(*QUICK, "--backend", "reference," + missing)
    verdicts = {case["backend"]: case["verdict"] for case in document["cases"]}
    expect(verdicts == {"reference": "pass", missing: "skip"}, f"{verdicts}")
    document = run_json("--suite", "window", "--backend", f"{OFF_BY_ONE},{missing}", code=1)
    expect(document["verdict"] == "fail", "a skip hides a failure")


@test
def a_path_may_have_a_comma_in_it():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a,b", "x,y.so")
        os.mkdir(os.path.dirname(path))
        shutil.copy(OFF_BY_ONE, path)
        document = run_json("--suite", "ring", "--backend", f"reference,{path},reference", code=1)
        expect({case["backend"] for case in document["cases"]} == {"reference", path},
               "other backends")
        run("--suite", "ring", "--backend", path, code=1)


@test
def shards_are_the_whole_and_no_case_twice():
    listed = run("--list", "--suite", "ring,batching", code=0).stdout.splitlines()
    expect(len(listed) > 30 and len(set(listed)) == len(listed), f"{len(listed)} cases listed")
    parts = []
    for i in "123":
        parts += [f"{case['suite']}/{case['case']}"
                  for case in run_json("--suite", "ring,batching", "--shard", f"{i}/3")["cases"]]
    expect(sorted(parts) == sorted(listed), f"{len(parts)} of {len(listed)} cases in the shards")


@test
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


if __name__ == "__main__":
    sys.exit(main())
