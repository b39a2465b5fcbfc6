#!/usr/bin/env python3
"""mistral-run and mistral-model as people use them: what they print, how they end, what they say.

usage: test_cli_run.py MISTRAL_RUN MISTRAL_MODEL TOKENIZER. Prints TAP. Needs the standard library.
"""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RUN, MODEL, TOKENIZER = sys.argv[1:4]
LINE = "=" * 21
TIMEOUT = 60
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(program, *args, stdin="", **more):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([program, *args], input=stdin, capture_output=True, timeout=TIMEOUT,
                          check=False, **more)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()


def check(condition, *words):
    if not condition:
        raise AssertionError(" ".join(map(str, words)))


def check_ends(result, code, fragment=""):
    check(result[0] == code, "expected exit code", code, "found", result)
    check(fragment in result[2], "expected", repr(fragment), "in", result[2])
    check("Sanitizer" not in result[2] and "runtime error" not in result[2], result[2])


class Folder:
    """A random model with a tokenizer, on which no text makes sense and every path is taken."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="mv-cli-")
        self.model = os.path.join(self.path, "model")
        check_ends(run(MODEL, "synth", "synthetic:probe,vocab_size=420", "-o", self.model), 0)
        shutil.copy(TOKENIZER, os.path.join(self.model, "tokenizer.model"))
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.path)

    def file(self, name, data):
        path = os.path.join(self.path, name)
        with open(path, "wb") as out:
            out.write(data)
        return path


# ---- demo ----


@test
def demo_prints_three_texts_each_with_its_line(f):
    code, out, _ = run(RUN, "demo", f.model)
    check(code == 0 and out.count(LINE + "\n") == 3, out)
    for prompt in ("This is a test", "This is another test", "very good at testing."):
        check(prompt in out, out)
    check(out == run(RUN, "demo", "--model", f.model)[1], "--model is the same as MODEL")
    check(out == run(RUN, "demo", f.model, "--chunk", "2", "--max_tokens", "35")[1], "chunks")


@test
def demo_gives_each_prompt_what_it_gives_alone(f):
    prompts = ["a", "the quick brown fox jumps over the lazy dog", "hello"]
    args = [word for p in prompts for word in ("-p", p)]
    both = json.loads(run(RUN, "demo", f.model, *args, "--format", "json")[1])
    for prompt, got in zip(prompts, both["prompts"]):
        one = json.loads(run(RUN, "demo", f.model, "-p", prompt, "--format", "json")[1])
        check(got["tokens"] == one["prompts"][0]["tokens"], prompt)
        check(len(got["log_probs"]) == len(got["tokens"]), got)
        check(len(got["prompt_log_probs"]) == len(got["prompt_tokens"]) - 1, got)
        check(got["prompt"] == prompt and got["prompt_tokens"][0] == 1, got)


@test
def demo_samples_by_seed(f):
    first = run(RUN, "demo", f.model, "--temperature", "1", "--seed", "5")[1]
    check(first == run(RUN, "demo", f.model, "--temperature", "1", "--seed", "5")[1], "same seed")
    check(first != run(RUN, "demo", f.model, "--temperature", "1", "--seed", "6")[1], "other seed")


@test
def demo_refuses_bad_values_before_anything_runs(f):
    for args, fragment in [
        (["--max_tokens", "0"], "--max-tokens: expected a whole number from 1"),
        (["--max_tokens=-3"], "found '-3'"),
        (["--max_tokens", "many"], "found 'many'"),
        (["--temperature", "nan"], "--temperature: expected 0 (greedy) to 1e6, found nan"),
        (["--temperature=-1"], "found -1"),
        (["--temperature", "warm"], "--temperature: expected a number, found 'warm'"),
        (["--top_p", "1.5"], "--top-p: expected 0 to 1, found 1.5"),
        (["--chunk", "0"], "--chunk"),
        (["--compute", "f8"], "f8"),
        (["--backend", "null,reference"], "--backend: expected one"),
        (["--backend", "referense"], "did you mean 'reference'?"),
        (["-p", ""], "--prompt: expected some text, found an empty prompt"),
        (["-p", b"ab\xffc"], "not UTF-8"),
        (["--max-positions", "30"], "the limit is 30 (--max-positions)"),
        (["--format", "csv"], "--format: expected text or json"),
        (["more"], "unexpected argument 'more'"),
    ]:
        result = run(RUN, "demo", f.model, *args)
        check_ends(result, 2, fragment)
        check(result[1] == "", result)


@test
def commands_and_models_that_do_not_exist_are_refused(f):
    check_ends(run(RUN), 2, "expected a command")
    check_ends(run(RUN, "demos"), 2, "did you mean demo?")
    check_ends(run(RUN, "demo", f.path + "/nothing"), 3, "a MODEL is a folder")
    check_ends(run(RUN, "demo", "synthetic:probe"), 2, "has no tokenizer.model")
    check_ends(run(RUN, "demo", f.model, "--model", f.model), 2, "two models")


@test
def backends_are_listed(f):
    code, out, _ = run(RUN, "--list")
    check(code == 0 and "\nnull " in "\n" + out and "\nreference " in "\n" + out, out)


@test
def another_backend_and_another_arithmetic_run_too(f):
    check_ends(run(RUN, "demo", f.model, "--backend", "null"), 0)
    for compute in ("f64", "bf16"):
        check_ends(run(RUN, "demo", f.model, "--compute", compute), 0)


@test
def without_a_model_it_takes_tiny_or_says_what_a_model_is(f):
    result = run(RUN, "demo")
    if result[0] == 0:
        check(result[1].count(LINE) == 3 and result[1].startswith("This is a test"), result)
        check(result[1] == run(RUN, "demo", "tiny")[1], "tiny is the default")
    else:
        check_ends(result, 2, "model tiny: not found in ")
        check("name a MODEL: a folder with params.json" in result[2], result)


# ---- interactive ----


@test
def interactive_answers_each_line_and_says_what_is_wrong_with_others(f):
    text = b"hello\n\nbad \xff\xfe line\n" + b"long " * 300 + b"\nlast"
    code, out, err = run(RUN, "interactive", f.model, "--max_tokens", "8", "--max-positions", "99",
                         stdin=text)
    check(code == 2 and out.count(LINE) == 2, code, out, err)
    check(out.startswith("hello") and "\nlast" in out, out)
    check("the prompt is empty" in err and "not UTF-8" in err, err)
    check("beyond the limit of 99 (--max-positions)" in err, err)
    check("not every prompt could be answered" in err, err)


@test
def interactive_ends_without_input(f):
    check_ends(run(RUN, "interactive", f.model), 2, "standard input is empty")
    done = subprocess.run(f'"{RUN}" interactive "{f.model}" <&-', shell=True, check=False,
                          capture_output=True, timeout=TIMEOUT)
    check_ends((done.returncode, "", done.stderr.decode()), 3, "standard input cannot be read")


@test
def interactive_notices_that_nobody_reads(f):
    with open("/dev/full", "w") as full:
        done = subprocess.run([RUN, "interactive", f.model], input=b"hi\n", stdout=full, check=False,
                              stderr=subprocess.PIPE, timeout=TIMEOUT)
    check_ends((done.returncode, "", done.stderr.decode()), 3, "No space left on device")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([RUN, "interactive", f.model], input=b"hi\n", stdout=writer, check=False,
                          stderr=subprocess.PIPE, timeout=TIMEOUT)
    os.close(writer)
    check_ends((done.returncode, "", done.stderr.decode()), 3, "Broken pipe")


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


class Terminal:
    """The program on a pseudo terminal."""

    def __init__(self, *args):
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:
            raise Skip(f"no pseudo terminal here: {error}") from error
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # libedit keeps names of functions
            os.execv(RUN, [RUN, *args])
        self.seen = ""

    def wait_for(self, text, seconds=30):
        """What was printed up to text; None if the program ended or was silent for too long."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]
            try:
                data = os.read(self.fd, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                return None
            self.seen += data.decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def send(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        """The exit code, or minus the signal's number."""
        for _ in range(TIMEOUT * 20):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 4096)
                except OSError:
                    pass
        os.kill(self.pid, signal.SIGKILL)
        return None


@test
def ctrl_c_stops_the_answer_and_not_the_program(f):
    t = Terminal("interactive", f.model, "--max_tokens", "30000", "--ignore-eos")
    check(t.wait_for("Prompt: ") is not None, "no prompt", t.seen)
    t.send("hello\r")
    check(t.wait_for("hello") is not None, "no answer", t.seen)
    time.sleep(0.3)
    t.send("\x03")
    check(t.wait_for(LINE) is not None, "the answer goes on", t.seen[-200:])
    check(t.wait_for("Prompt: ") is not None, "no second prompt", t.seen)
    t.send("half a line\x03")
    time.sleep(0.2)
    t.send("\x04")
    code = t.close()
    check(code in (0, 2), "Ctrl-C at the prompt ended the program:", code)


@test
def a_terminal_that_goes_away_ends_it(f):
    t = Terminal("interactive", f.model, "--max_tokens", "5")
    check(t.wait_for("Prompt: ") is not None, "no prompt", t.seen)
    os.close(t.fd)
    for _ in range(TIMEOUT * 20):
        pid, status = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            check(code in (0, 3, -signal.SIGHUP), code)
            return
        time.sleep(0.05)
    os.kill(t.pid, signal.SIGKILL)
    check(False, "it waits for a terminal that is gone")


# ---- chat, score, tokenize ----


@test
def chat_remembers_and_takes_the_template_of_the_tokenizer(f):
    code, out, err = run(RUN, "chat", f.model, "-v", "--max_tokens", "6", stdin="hello\nagain\n")
    check(code == 0 and out.count("\n") >= 2, code, out, err)
    check("template of v0.3" in err, err)  # the small tokenizer has [INST] as a piece
    alone = run(RUN, "chat", f.model, "--max_tokens", "6", stdin="again\n")[1]
    check(out.split("\n")[1] != alone.split("\n")[0] or out.count("\n") != 2, "no memory", out)
    guarded = run(RUN, "chat", f.model, "--max_tokens", "6", "--safe-prompt", stdin="hello\n")
    check_ends(guarded, 0)


@test
def chat_starts_anew_at_the_position_limit(f):
    result = run(RUN, "chat", f.model, "--max_tokens", "20", "--max-positions", "60",
                 "--ignore-eos", stdin="one\ntwo\nthree\nfour\n")
    check_ends(result, 2, "the conversation starts anew")


@test
def score_does_not_depend_on_the_chunk(f):
    path = f.file("text", b"the quick brown fox jumps over the lazy dog, and the dog does not mind")
    found = []
    for chunk in ("1", "7", "8", "24", "512"):
        code, out, err = run(RUN, "score", f.model, "--text", path, "--chunk", chunk, "-f", "json")
        check(code == 0, err)
        found.append(json.loads(out))
    for one in found[1:]:
        check(abs(one["perplexity"] / found[0]["perplexity"] - 1) < 1e-5, one["perplexity"])
    first = found[0]
    check(len(first["log_probs"]) == len(first["tokens"]) - 1, first)
    check(first["window"] == 8, first)
    other = json.loads(run(RUN, "score", f.model, "--text", path, "--window", "7", "-f", "json")[1])
    check(abs(other["perplexity"] / first["perplexity"] - 1) > 1e-4, "the window does not matter")


@test
def score_refuses_what_it_cannot_score(f):
    check_ends(run(RUN, "score", f.model), 2, "expected --text FILE")
    check_ends(run(RUN, "score", f.model, "--text", "-"), 2, "the text is empty")
    check_ends(run(RUN, "score", f.model, "--text", f.path + "/no"), 3, "No such file")
    check_ends(run(RUN, "score", f.model, "--text", f.path), 3, "Is a directory")
    check_ends(run(RUN, "score", f.model, "--text", "-", stdin=b"ab\xc3"), 2, "not UTF-8")


@test
def tokenize_takes_an_argument_a_file_or_stdin(f):
    text = "This is a test, \u00e9\U0001f642"
    path = f.file("text", text.encode())
    results = [run(RUN, "tokenize", f.model, text), run(RUN, "tokenize", f.model, "--text", path),
               run(RUN, "tokenize", f.model, stdin=text)]
    check(len({out for _, out, _ in results}) == 1 and results[0][0] == 0, results)
    ids = json.loads(run(RUN, "tokenize", f.model, text, "--format", "json")[1])
    check([str(i) for i in ids["tokens"]] == results[0][1].split(), ids)
    check(ids["pieces"][0] == "<s>" and ids["pieces"][1].startswith("\u2581"), ids)
    check(run(RUN, "tokenize", f.model, "")[1] == "1\n", "the empty text is <s> alone")
    verbose = run(RUN, "tokenize", f.model, text, "--verbose")[1]
    check(len(verbose.splitlines()) == len(ids["tokens"]), verbose)


@test
def output_goes_to_a_file_by_its_extension(f):
    path = os.path.join(f.path, "out.json")
    result = run(RUN, "demo", f.model, "--output", path)
    check_ends(result, 0)
    with open(path, encoding="utf-8") as file:
        check(len(json.load(file)["prompts"]) == 3, "three prompts")
    check(result[1] == "", result)
    check_ends(run(RUN, "demo", f.model, "-o", f.path + "/no/where.json"), 3, "cannot be created")


# ---- mistral-model ----


@test
def model_info_check_and_convert_agree(f):
    info = json.loads(run(MODEL, "info", f.model, "-f", "json")[1])
    check(info["params"]["vocab_size"] == 420 and info["pieces"] == 420, info)
    check(info["release"] is None and info["tensors"] == 39, info)
    source = f.model
    for layout in ("hf", "pth", "mistral"):
        to = os.path.join(f.path, layout)
        check_ends(run(MODEL, "convert", source, "-o", to, "--to", layout), 0)
        other = json.loads(run(MODEL, "info", to, "-f", "json")[1])
        check(other["weights_sha256"] == info["weights_sha256"], layout)
        check(other["params"] == info["params"], other)
        source = to
    names = "consolidated.safetensors", "params.json", "tokenizer.model"
    for name in names:
        with open(os.path.join(f.model, name), "rb") as a, open(os.path.join(to, name), "rb") as b:
            check(a.read() == b.read(), name)
    check_ends(run(MODEL, "check", to), 0)
    check("420 pieces" in run(MODEL, "info", to)[1], "info")
    shards = os.path.join(f.path, "shards")
    check_ends(run(MODEL, "convert", to, "-o", shards, "--to", "hf", "--shard-size", "50000"), 0)
    check(len([n for n in os.listdir(shards) if n.endswith(".safetensors")]) > 3, shards)
    other = json.loads(run(MODEL, "info", shards, "-f", "json")[1])
    check(other["weights_sha256"] == info["weights_sha256"], "shards")
    check_ends(run(MODEL, "check", shards), 0)


@test
def model_check_fails_for_a_number_that_is_none(f):
    path = os.path.join(f.model, "consolidated.safetensors")
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\xc0\x7f")
    result = run(MODEL, "check", f.model)
    check_ends(result, 1)
    check("error: output.weight: expected finite numbers, found 1 NaN" in result[1], result)
    found = json.loads(run(MODEL, "check", f.model, "-f", "json")[1])
    check(found["sound"] is False and found["findings"][0]["kind"] == "error", found)


@test
def a_released_model_with_anothers_window_or_theta_is_warned_of(f):
    shapes = {"dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32,
              "n_kv_heads": 8, "norm_eps": 1e-5, "vocab_size": 32000}
    for more, fragment in [
        ({}, "taken as window 4096 and theta 1e4"),
        ({"sliding_window": None, "rope_theta": 1e4}, "found window 0, theta 10000"),
        ({"sliding_window": 4096, "rope_theta": 1e6}, "found window 4096, theta 1e+06"),
        ({"sliding_window": 4096}, None),
        ({"rope_theta": 1e6}, None),
    ]:
        f.file("params.json", json.dumps(shapes | more).encode())
        f.file("consolidated.safetensors", b"")  # 14.5 GB would not change what is said before
        result = run(RUN, "tokenize", f.path, "x")
        check_ends(result, 3, fragment or "truncated")
        check(("warning" in result[2]) == (fragment is not None), result)


@test
def model_refuses_what_it_cannot_do(f):
    for args, code, fragment in [
        ([], 2, "expected a command"),
        (["inf", f.model], 2, "did you mean info?"),
        (["info"], 2, "expected a MODEL"),
        (["info", f.model, f.model], 2, "expected one MODEL"),
        (["convert", f.model], 2, "expected --output DIR"),
        (["convert", f.model, "-o", f.model], 2, "is there already"),
        (["convert", f.model, "-o", f.path + "/x", "--to", "gguf"], 2, "mistral, pth or hf"),
        (["convert", f.model, "-o", f.path + "/x", "--shard-size", "1GB"], 2, "only --to hf"),
        (["convert", f.model, "-o", f.path + "/x", "--to", "hf", "--shard-size", "0"], 2, "5GB"),
        (["synth", f.model, "-o", f.path + "/x"], 2, "expected synthetic:NAME"),
        (["info", f.path], 3, "neither params.json nor config.json"),
    ]:
        check_ends(run(MODEL, *args), code, fragment)
    check(sorted(os.listdir(f.path)) == ["model"], os.listdir(f.path))


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for number, function in enumerate(TESTS, 1):
        name = function.__name__.replace("_", " ")
        try:
            with Folder() as folder:
                function(folder)
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, ValueError, OSError) as error:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in str(error).splitlines()[:20]:
                print(f"# {line[:1000]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
