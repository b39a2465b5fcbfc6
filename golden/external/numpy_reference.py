#!/usr/bin/env python3
"""An independent float64 forward pass of Mistral, in numpy: goldens that owe nothing to our C code.

Written from the formulas of the architecture alone. It is slow and wasteful on purpose: the whole
sequence at once, the full T x T matrix of scores with the window as a mask, no cache, no chunks.
What it cannot share with a backend is therefore a mistake in the cache, in the chunking, in the
file reader or in the arithmetic.

    numpy_reference.py MODEL_DIR --output expected.json

MODEL_DIR holds params.json and consolidated.safetensors (f32, f16 or bf16). Every number is widened
to float64 when it is read, and every operation is float64. See README.md beside this file.
"""
import argparse
import hashlib
import json
import pathlib
import platform
import sys

import numpy as np


def read_safetensors(path):
    """{name: float64 array}: u64 length of the header, the header (JSON), then the data."""
    blob = path.read_bytes()
    header_size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + header_size])
    data = blob[8 + header_size :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[begin:end]
        if entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4")
        elif entry["dtype"] == "F16":
            values = np.frombuffer(raw, "<f2")
        elif entry["dtype"] == "BF16":  # the upper half of a float32
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            raise SystemExit(f"{path}: {name} is {entry['dtype']}; expected F32, F16 or BF16")
        tensors[name] = values.astype(np.float64).reshape(entry["shape"])
    return tensors


def rms_norm(x, weight, eps):
    """[T, dim]: x / sqrt(mean(x^2) + eps) * weight, row by row."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def rotate(x, theta):
    """[T, heads, head_dim]: at position p, pair (2i, 2i+1) turns by p * theta^(-2i/head_dim)."""
    n_positions, _, head_dim = x.shape
    frequency = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    angle = np.arange(n_positions, dtype=np.float64)[:, None] * frequency[None, :]
    turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None, :]
    out = np.empty_like(x)
    out[..., 0::2] = turned.real
    out[..., 1::2] = turned.imag
    return out


def allowed(n_positions, window):
    """[T, T]: may query i see key j? j <= i, and with a window only the last W keys, i included."""
    i = np.arange(n_positions)[:, None]
    j = np.arange(n_positions)[None, :]
    return (j <= i) & ((window == 0) | (j > i - window))


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def attention(x, weights, prefix, params, window):
    n_positions = x.shape[0]
    n_heads, n_kv_heads, head_dim = params["n_heads"], params["n_kv_heads"], params["head_dim"]
    theta = params.get("rope_theta", 1e4)
    q = (x @ weights[prefix + "wq.weight"].T).reshape(n_positions, n_heads, head_dim)
    k = (x @ weights[prefix + "wk.weight"].T).reshape(n_positions, n_kv_heads, head_dim)
    v = (x @ weights[prefix + "wv.weight"].T).reshape(n_positions, n_kv_heads, head_dim)
    q, k = rotate(q, theta), rotate(k, theta)
    mask = allowed(n_positions, window)
    heads = np.empty_like(q)
    for h in range(n_heads):
        shared = h // (n_heads // n_kv_heads)
        scores = q[:, h] @ k[:, shared].T / np.sqrt(head_dim)
        heads[:, h] = softmax(np.where(mask, scores, -np.inf)) @ v[:, shared]
    return heads.reshape(n_positions, n_heads * head_dim) @ weights[prefix + "wo.weight"].T


def feed_forward(x, weights, prefix):
    gate = x @ weights[prefix + "w1.weight"].T
    up = x @ weights[prefix + "w3.weight"].T
    return (gate / (1.0 + np.exp(-gate)) * up) @ weights[prefix + "w2.weight"].T


def forward(params, weights, tokens, window):
    """Logits [T, vocab_size] of every position; window 0 = no window."""
    eps = params["norm_eps"]
    x = weights["tok_embeddings.weight"][np.asarray(tokens)]
    for layer in range(params["n_layers"]):
        p = f"layers.{layer}."
        normed = rms_norm(x, weights[p + "attention_norm.weight"], eps)
        x = x + attention(normed, weights, p + "attention.", params, window)
        normed = rms_norm(x, weights[p + "ffn_norm.weight"], eps)
        x = x + feed_forward(normed, weights, p + "feed_forward.")
    return rms_norm(x, weights["norm.weight"], eps) @ weights["output.weight"].T


def kept_positions(n_tokens, window, windows):
    """Both sides of the edge of the window, its second wrap, the ends, and something between."""
    edges = [window] if window else [w for w in windows if w]
    positions = {0, 1, 100, n_tokens - 1}
    for w in edges:
        positions |= {w - 1, w} if window == 0 else {w - 1, w, w + 1, 2 * w}
    return sorted(p for p in positions if p < n_tokens)


def write_golden(output, golden, cases):
    """JSON with one row of logits a line; repr() of a float64 reads back to the same bits."""
    head = json.dumps(golden, indent=2)[:-2]
    with open(output, "w", encoding="utf-8") as file:
        file.write(head + ',\n  "cases": [\n')
        for n, (window, rows) in enumerate(cases):
            file.write(f'    {{"window": {window}, "rows": [\n')
            lines = [
                f'      {{"position": {position}, "logits": {json.dumps(row.tolist())}}}'
                for position, row in rows
            ]
            file.write(",\n".join(lines) + "\n    ]}" + ("," if n + 1 < len(cases) else "") + "\n")
        file.write("  ]\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="folder of the checkpoint")
    parser.add_argument("--length", type=int, default=300, help="tokens (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the tokens (default 1)")
    parser.add_argument("--window", default="0,8,37", help="list; 0 = none (default 0,8,37)")
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()

    params = json.loads((arguments.model / "params.json").read_text())
    weights_path = arguments.model / "consolidated.safetensors"
    weights = read_safetensors(weights_path)
    windows = [int(w) for w in arguments.window.split(",")]
    generator = np.random.default_rng(arguments.seed)
    tokens = generator.integers(0, params["vocab_size"], arguments.length).tolist()
    cases = []
    for window in windows:
        logits = forward(params, weights, tokens, window)
        if not np.isfinite(logits).all():
            raise SystemExit(f"{arguments.model}: window {window}: logits are not finite")
        kept = kept_positions(arguments.length, window, windows)
        cases.append((window, [(p, logits[p]) for p in kept]))
        print(f"window {window}: std of the logits {logits.std():.3f}", file=sys.stderr)

    golden = {
        "schema": "mistral-verify-external-golden/1",
        "made_by": "golden/external/numpy_reference.py " + arguments.model.name
        + f" --length {arguments.length} --seed {arguments.seed} --window {arguments.window}",
        "arithmetic": "float64",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "weights_file_sha256": hashlib.sha256(weights_path.read_bytes()).hexdigest(),
        "params": params,
    }
    golden["tokens"] = "@"  # on one line, which indent=2 would not do
    write_golden(arguments.output, golden, cases)
    path = pathlib.Path(arguments.output)
    path.write_text(path.read_text().replace('"tokens": "@"', f'"tokens": {json.dumps(tokens)}', 1))


if __name__ == "__main__":
    main()
