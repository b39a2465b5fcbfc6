#!/usr/bin/env python3
"""verify_models.py - mistral-verify on models of other layouts, and with texts. See verify_stage.py.
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
import hf_copy  # noqa: E402 (beside this file; leaves no cache)
from verify_stage import (  # noqa: E402
    GOLDEN, MODEL_TOOL, QUICK, STORIES, Skip, expect, main, run, run_json, test)


def judge(folder):
    """The hash of a model, and what was measured on it, case by case."""
    document = run_json("--model", folder, "--suite", "chunking,batching", "--length", "60")
    return (document["model"]["weights_sha256"],
            [(case["suite"], case["case"], case["metrics"], case["worst"]) for case in
             document["cases"]])


@test
def the_same_weights_in_another_layout_are_the_same_model():
    with tempfile.TemporaryDirectory() as folder:
        hf_copy.write_hf(GOLDEN, folder)
        expect(judge(folder) == judge(GOLDEN), "Hugging Face's layout is another model")


@test
def a_converted_model_is_the_same_model():
    if not os.access(MODEL_TOOL, os.X_OK):
        raise Skip("mistral-model is not built")
    original = judge(GOLDEN)
    with tempfile.TemporaryDirectory() as folder:
        for layout in ("pth", "hf", "mistral"):
            path = os.path.join(folder, layout)
            run("convert", GOLDEN, "-o", path, "--to", layout, code=0, program=MODEL_TOOL)
            expect(judge(path) == original, f"{layout}: another model")


@test
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


if __name__ == "__main__":
    sys.exit(main())
