#!/usr/bin/env python3
"""verify_mistakes.py - what mistral-verify says about a mistake: one line on stderr, and an exit
code. See verify_stage.py.
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from verify_stage import (  # noqa: E402
    GOLDEN, LIMIT_S, PLUGINS, QUICK, VERIFY, Skip, expect, has, main, run, test)


@test
def a_filter_that_matches_nothing_is_said_in_one_line():
    for arguments, words in ((["--suite", "ring"], "'no/such': no case has such a name; --list "
                              "--suite ring names them"),
                             (["--shard", "1/2"], "'no/such': no case of this shard has")):
        done = run("--filter", "no/such", *arguments, code=5)
        has(done.stderr, "mistral-verify: error: --filter " + words)
        expect(done.stderr.count("\n") == 1, done.stderr)


@test
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


@test
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


if __name__ == "__main__":
    sys.exit(main())
