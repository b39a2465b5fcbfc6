#!/usr/bin/env python3
"""model.py - mistral-model as people use it: info, check, convert, and what it refuses. See stage.py."""
import json
import os
import sys

sys.dont_write_bytecode = True
from stage import MODEL, RUN, check, check_ends, main, run, test  # noqa: E402


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


if __name__ == "__main__":
    sys.exit(main())
