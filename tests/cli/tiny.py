#!/usr/bin/env python3
"""tiny.py - the small trained model is what its README says, and every program finds it. Prints TAP.

usage: tiny.py SOURCE_ROOT BUILD_ROOT
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile

SOURCE, BUILD = (os.path.abspath(one) for one in sys.argv[1:3])
TINY = os.path.join(SOURCE, "models", "tiny")
WINDOW = 64
LIMIT_S = 200


def expect(holds, text):
    if not holds:
        raise AssertionError(text)


def run(program, *arguments, code=0, cwd=None):
    path = os.path.join(BUILD, "tools", program)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, cwd=cwd,
                          timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    expect(done.returncode == code, f"{program} {arguments}: exit code {done.returncode}: "
           f"{done.stderr.strip()} {done.stdout[-300:]}")
    return done.stdout


def readme():
    with open(os.path.join(TINY, "README.md"), encoding="utf-8") as file:
        return file.read()


def score(*arguments):
    """The first 300 tokens or so of the text that training has not seen."""
    with open(os.path.join(TINY, "held-out.txt"), encoding="utf-8") as file:
        text = file.read(1000)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return json.loads(run("mistral-run", "score", "tiny", "--text", path, "-f", "json",
                              *arguments))


def perplexity(log_probs):
    return math.exp(-sum(log_probs) / len(log_probs))


def it_is_small():
    names = "consolidated.safetensors", "params.json", "tokenizer.model"
    size = sum(os.path.getsize(os.path.join(TINY, name)) for name in names)
    expect(size < 4e6, f"{size} bytes")


def it_is_the_default_and_a_name_that_every_program_knows():
    with tempfile.TemporaryDirectory() as elsewhere:
        demo = run("mistral-run", "demo", cwd=elsewhere)
        expect(demo == run("mistral-run", "demo", "tiny", cwd=elsewhere), "tiny is the default")
        expect(demo == run("mistral-run", "demo", TINY), "it is this one")
        expect(run("mistral-run", "tokenize", "tiny", "Emma").startswith("1 "), "tokenize")
        verdict = json.loads(run("mistral-verify", "--model", "tiny", "--suite", "golden", "-f",
                                 "json", cwd=elsewhere))
        expect({one["window"] for one in verdict["cases"]} == {0, WINDOW}, verdict["cases"])
        expect(run("mistral-model", "check", "tiny", cwd=elsewhere).endswith("0 warnings)\n"), "check")
        info = json.loads(run("mistral-model", "info", "tiny", "-f", "json", cwd=elsewhere))
        expect(info["pieces"] == info["params"]["vocab_size"] == 2048, info)
        expect(info["params"]["sliding_window"] == WINDOW and info["release"] is None, info)
        run("mistral-golden", "record", "--model", "tiny", "-o", os.path.join(elsewhere, "t.h5"),
            "--length", "70")


def the_demo_says_what_the_readme_shows():
    shown = readme().split("greedy:\n\n```\n")[1].split("\n```")[0]
    expect(run("mistral-run", "demo").strip() == shown, "another text than in README.md")


def quality_holds_past_the_window_and_not_without_one():
    held = score()
    expect(len(held["log_probs"]) > 4 * WINDOW, f"only {len(held['log_probs'])} tokens")
    inside, beyond = (perplexity(part) for part in (held["log_probs"][:WINDOW],
                                                    held["log_probs"][2 * WINDOW:]))
    expect(beyond < 1.25 * inside, f"{inside} inside the window, {beyond} beyond")
    expect(held["perplexity"] < 50, held["perplexity"])
    full = score("--window", "0")
    late = perplexity(full["log_probs"][2 * WINDOW:])
    expect(late > 2 * beyond, f"without a window {late}, with it {beyond}")


def the_perplexity_does_not_depend_on_the_chunk():
    found = {chunk: score("--chunk", str(chunk))["perplexity"] for chunk in (1, 7, 64, 192, 512)}
    for chunk, value in found.items():
        expect(abs(value / found[512] - 1) < 1e-6, f"chunk {chunk}: {found}")


def bfloat16_and_the_other_backend_score_the_same_to_their_noise():
    exact = score("--compute", "f64")["perplexity"]
    for arguments, limit in ((("--compute", "f32"), 1e-5), (("--compute", "bf16"), 0.02),
                             (("--backend", "blas"), 1e-5)):
        value = score(*arguments)["perplexity"]
        expect(abs(value / exact - 1) < limit, f"{arguments}: {value}, in float64 {exact}")


def the_readme_records_the_perplexity():
    for number in re.findall(r"\*\*([\d.]+)\*\*|\| 64 \| ([\d.]+)", readme()):
        value = float(number[0] or number[1])
        expect(20 < value < 40, f"{value} in README.md")


TESTS = [
    it_is_small,
    it_is_the_default_and_a_name_that_every_program_knows,
    the_demo_says_what_the_readme_shows,
    quality_holds_past_the_window_and_not_without_one,
    the_perplexity_does_not_depend_on_the_chunk,
    bfloat16_and_the_other_backend_score_the_same_to_their_noise,
    the_readme_records_the_perplexity,
]


def main():
    print(f"1..{len(TESTS)}")
    n_failed = 0
    for number, test in enumerate(TESTS, 1):
        word = "ok"
        try:
            test()
        except (AssertionError, subprocess.TimeoutExpired, ValueError, KeyError) as problem:
            word = "not ok"
            n_failed += 1
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
        print(f"{word} {number} - {test.__name__.replace('_', ' ')}", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
