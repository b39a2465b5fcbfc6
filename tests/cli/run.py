#!/usr/bin/env python3
"""run.py - mistral-run as people use it: what it prints, how it ends, what it says. See stage.py."""
import json
import math
import os
import subprocess
import sys

sys.dont_write_bytecode = True
from stage import LINE, RUN, TIMEOUT, check, check_ends, main, run, test  # noqa: E402


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
        (["-p", b"ab\xffc"], "--prompt: text to encode is not UTF-8"),
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
def score_can_stop_after_some_tokens(f):
    text = "the quick brown fox jumps over the lazy dog, and the dog does not mind"
    path = f.file("text", text.encode())
    whole, some, more = (json.loads(run(RUN, "score", f.model, "--text", path, "-f", "json",
                                        *args)[1])
                         for args in ([], ["--length", "20"], ["--length", "9999"]))
    check(more == whole, "a length beyond the text")
    check(some["tokens"] == whole["tokens"][:20], some["tokens"])
    for one, other in zip(some["log_probs"], whole["log_probs"]):
        check(abs(one - other) < 1e-4, one, other)
    check(len(some["log_probs"]) == 19, some["log_probs"])
    ids = [run(RUN, "tokenize", f.model, text[:n])[1].split() for n in range(len(text) + 1)]
    check(len(ids[some["bytes"]]) <= 20 and whole["bytes"] == len(text), some["bytes"])
    bits = -sum(some["log_probs"]) / math.log(2) / some["bytes"]
    check(abs(some["bits_per_byte"] - bits) < 1e-9, some["bits_per_byte"], bits)


@test
def score_refuses_what_it_cannot_score(f):
    check_ends(run(RUN, "score", f.model), 2, "expected --text FILE")
    check_ends(run(RUN, "score", f.model, "--text", "-"), 2, "the text is empty")
    check_ends(run(RUN, "score", f.model, "--text", f.path + "/no"), 3, "No such file")
    check_ends(run(RUN, "score", f.model, "--text", f.path), 3, "Is a directory")
    check_ends(run(RUN, "score", f.model, "--text", "-", stdin=b"ab\xc3"), 2,
               "standard input: text to encode is not UTF-8")
    bad = f.file("bad", b"ab\xff")
    check_ends(run(RUN, "score", f.model, "--text", bad), 2, f"--text {bad}: text to encode")
    check_ends(run(RUN, "score", f.model, "--text", bad, "--length", "1"), 2, "--length: expected")
    check_ends(run(RUN, "score", f.model, "--text", bad, "--length", "all"), 2, "found 'all'")
    done = subprocess.run(f'"{RUN}" score "{f.model}" --text - <&-', shell=True, check=False,
                          capture_output=True, timeout=TIMEOUT)
    check_ends((done.returncode, "", done.stderr.decode()), 3, "standard input cannot be read: it is")


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


if __name__ == "__main__":
    sys.exit(main())
