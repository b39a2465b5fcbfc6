#!/usr/bin/env python3
"""Writes the fixture of tests/test_reference_golden.c: a small checkpoint in Mistral's layout.

    make_golden_small.py tests/data/golden_small

Random, but not tame: wq and wk are large enough that attention picks few keys, the norms' weights
differ from 1, and logits spread over about 2, so that a mistake in the window, in RoPE, in the
mapping of heads or in a norm moves them by far more than rounding does. bf16, as real checkpoints.
rope_theta is left out of params.json, as in v0.1 (then it is 10000).
"""
import json
import pathlib
import sys

import numpy as np

PARAMS = {
    "dim": 32,
    "n_layers": 3,
    "head_dim": 8,
    "hidden_dim": 44,
    "n_heads": 4,
    "n_kv_heads": 2,
    "norm_eps": 1e-05,
    "vocab_size": 96,
}
SEED = 20231019


def to_bf16(values):
    """Float32 to bfloat16 bits, rounded to nearest even; the values here are finite."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def make_weights(generator):
    dim, hidden = PARAMS["dim"], PARAMS["hidden_dim"]
    q_size = PARAMS["n_heads"] * PARAMS["head_dim"]
    kv_size = PARAMS["n_kv_heads"] * PARAMS["head_dim"]
    weights = {}

    def matrix(name, n_out, n_in, gain):
        weights[name] = generator.standard_normal((n_out, n_in)) * gain / np.sqrt(n_in)

    def norm(name):
        weights[name] = generator.uniform(0.5, 1.5, dim)

    matrix("tok_embeddings.weight", PARAMS["vocab_size"], dim, np.sqrt(dim))
    for layer in range(PARAMS["n_layers"]):
        p = f"layers.{layer}."
        norm(p + "attention_norm.weight")
        matrix(p + "attention.wq.weight", q_size, dim, 1.7)
        matrix(p + "attention.wk.weight", kv_size, dim, 1.7)
        matrix(p + "attention.wv.weight", kv_size, dim, 1.0)
        matrix(p + "attention.wo.weight", dim, q_size, 0.9)
        norm(p + "ffn_norm.weight")
        matrix(p + "feed_forward.w1.weight", hidden, dim, 1.2)
        matrix(p + "feed_forward.w2.weight", dim, hidden, 0.9)
        matrix(p + "feed_forward.w3.weight", hidden, dim, 1.2)
    norm("norm.weight")
    matrix("output.weight", PARAMS["vocab_size"], dim, 1.8)
    return weights


def write_safetensors(path, weights):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in weights.items():
        raw = to_bf16(values).tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: make_golden_small.py FOLDER")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(PARAMS, indent=2) + "\n")
    write_safetensors(
        folder / "consolidated.safetensors", make_weights(np.random.default_rng(SEED))
    )


if __name__ == "__main__":
    main()
