#!/usr/bin/env python3
"""Writes goldens from Hugging Face Transformers: truth that shares nothing with this project.

    transformers_golden.py MODEL OUT.h5 [--length 120] [--window 0,8,37] [--seed 1]

MODEL is synthetic:probe or a folder with params.json and consolidated.safetensors. The logits are
those of MistralForCausalLM in float64 with eager attention, the whole prompt in one call, no cache.
Three of its parts compute in float32 whatever the model's type is (rotary table, RMSNorm, softmax of
the eager attention), and are replaced by the same formulas in float64. Beside each case lies how far
the float32 model, as shipped, is from that (/cases/N/noise: nobody has to read it).

pip install -r requirements.txt. See README.md beside this file.
"""
import argparse
import json
import pathlib
import platform
import sys

import numpy as np
import torch
import transformers
from transformers.models.mistral import modeling_mistral as mistral

import golden_file
import numpy_reference
import splitmix

DTYPES = {"F32": "f32", "F16": "f16", "BF16": "bf16"}


# ---- the model's bytes ----


def weight_names(n_layers):
    """The order of harness/weights.h."""
    layer = ["attention_norm", "attention.wq", "attention.wk", "attention.wv", "attention.wo"]
    layer += ["ffn_norm", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"]
    names = [f"layers.{n}.{part}" for n in range(n_layers) for part in layer]
    return [f"{name}.weight" for name in ["tok_embeddings", *names, "norm", "output"]]


def read_folder(folder):
    """(params, {name: float64}, {name: (dtype, bytes)})"""
    params = {"sliding_window": 0, "rope_theta": 1e4}
    params |= json.loads((folder / "params.json").read_text())
    path = folder / "consolidated.safetensors"
    blob = path.read_bytes()
    size = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8 : 8 + size]), blob[8 + size :]
    raw = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw[name] = (DTYPES[entry["dtype"]], data[begin:end])
    return params, numpy_reference.read_safetensors(path), raw


def read_probe():
    weights = splitmix.probe_weights()
    wide = {k: (v.astype("<u4") << 16).view("<f4").astype(np.float64) for k, v in weights.items()}
    return splitmix.PROBE, wide, {k: ("bf16", v.tobytes()) for k, v in weights.items()}


# ---- float64 where Transformers has float32 ----


class Rotary(torch.nn.Module):
    def __init__(self, head_dim, theta):
        super().__init__()
        exponent = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
        self.frequency = theta**-exponent

    def forward(self, x, position_ids):
        angle = position_ids[..., None].to(torch.float64) * self.frequency
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


class Norm(torch.nn.Module):
    def __init__(self, old):
        super().__init__()
        self.weight, self.eps = old.weight, old.variance_epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    key = mistral.repeat_kv(key, module.num_key_value_groups)
    value = mistral.repeat_kv(value, module.num_key_value_groups)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).contiguous(), None


def widen(model, params):
    """Replaces the three parts; the mask, the projections and the order of it all stay theirs."""
    model.model.rotary_emb = Rotary(params["head_dim"], params["rope_theta"])
    model.model.norm = Norm(model.model.norm)
    for layer in model.model.layers:
        layer.input_layernorm = Norm(layer.input_layernorm)
        layer.post_attention_layernorm = Norm(layer.post_attention_layernorm)
    mistral.eager_attention_forward = attention


# ---- running ----


def halved(weight, n_heads):
    """RoPE pairs (2i, 2i+1) of a head's rows to (i, i + head_dim / 2)."""
    n_rows, n_in = weight.shape
    return weight.reshape(n_heads, n_rows // n_heads // 2, 2, n_in).swapaxes(1, 2).reshape(n_rows, n_in)


def state_dict(params, weights):
    names = {"wq": "q_proj", "wk": "k_proj", "wv": "v_proj", "wo": "o_proj"}
    ffn = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
    state = {
        "model.embed_tokens.weight": weights["tok_embeddings.weight"],
        "model.norm.weight": weights["norm.weight"],
        "lm_head.weight": weights["output.weight"],
    }
    for n in range(params["n_layers"]):
        ours, theirs = f"layers.{n}.", f"model.layers.{n}."
        state[theirs + "input_layernorm.weight"] = weights[ours + "attention_norm.weight"]
        state[theirs + "post_attention_layernorm.weight"] = weights[ours + "ffn_norm.weight"]
        for key, name in names.items():
            weight = weights[f"{ours}attention.{key}.weight"]
            if key in ("wq", "wk"):
                weight = halved(weight, params["n_heads" if key == "wq" else "n_kv_heads"])
            state[f"{theirs}self_attn.{name}.weight"] = weight
        for key, name in ffn.items():
            state[f"{theirs}mlp.{name}.weight"] = weights[f"{ours}feed_forward.{key}.weight"]
    return {key: torch.from_numpy(value.copy()) for key, value in state.items()}


def run(params, weights, window, tokens, dtype):
    """Logits [n, vocab_size] as float64 arrays."""
    config = transformers.MistralConfig(
        vocab_size=params["vocab_size"],
        hidden_size=params["dim"],
        intermediate_size=params["hidden_dim"],
        num_hidden_layers=params["n_layers"],
        num_attention_heads=params["n_heads"],
        num_key_value_heads=params["n_kv_heads"],
        head_dim=params["head_dim"],
        rms_norm_eps=params["norm_eps"],
        rope_parameters={"rope_type": "default", "rope_theta": params["rope_theta"]},
        sliding_window=window or None,
        max_position_embeddings=max(len(tokens), 4096),
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="eager",
    )
    theirs = mistral.eager_attention_forward
    model = transformers.MistralForCausalLM(config).to(dtype).eval()
    model.load_state_dict(state_dict(params, weights), strict=True)
    if dtype == torch.float64:
        widen(model, params)
    try:
        with torch.no_grad():
            ids = torch.from_numpy(tokens.astype(np.int64))[None]
            return model(ids, use_cache=False).logits[0].to(torch.float64).numpy()
    finally:
        mistral.eager_attention_forward = theirs


def relative(a, b, axis=None):
    return np.sqrt(np.sum((a - b) ** 2, axis=axis) / np.sum(b * b, axis=axis))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="synthetic:probe, or a folder")
    parser.add_argument("out")
    parser.add_argument("--length", type=int, default=120)
    parser.add_argument("--window", default="0,8,37", help="list; 0 = none")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the order of sums, and so the last bits, would depend on it
    folder = pathlib.Path(options.model)
    params, weights, raw = read_probe() if options.model == "synthetic:probe" else read_folder(folder)
    spec = options.model if options.model == "synthetic:probe" else folder.resolve().name
    tokens = splitmix.tokens(options.length, params["vocab_size"], options.seed)

    cases = []
    for window in [int(w) for w in options.window.split(",")]:
        logits = run(params, weights, window, tokens, torch.float64)
        rounded = run(params, weights, window, tokens, torch.float32)
        check = numpy_reference.forward(params, weights, tokens, window)
        positions = golden_file.needed_positions(options.length, window)
        positions |= {p for p in (1, 2 * window, 3 * window, 100) if p < options.length}
        notes = {"transformers_f32_row_relative_rmse": relative(rounded, logits, axis=1)}
        cases.append((window, options.seed, tokens, logits, sorted(positions), notes))
        print(
            f"window {window}: relative RMSE of numpy_reference.py {relative(check, logits):.2g}, "
            f"of Transformers in float32 {relative(rounded, logits):.2g}",
            file=sys.stderr,
        )

    reals = ("norm_eps", "rope_theta")
    golden_file.write(
        options.out,
        spec,
        {key: float(v) if key in reals else int(v) for key, v in params.items()},
        [
            (name, raw[name][0], weights[name].shape, raw[name][1])
            for name in weight_names(params["n_layers"])
        ],
        {
            "made_by": "golden/external/transformers_golden.py",
            "command": f"transformers_golden.py {spec} --length {options.length} "
            f"--window {options.window} --seed {options.seed}",
            "arithmetic": "MistralForCausalLM in float64, eager attention, whole prompt, no cache",
            "replaced": "rotary table, RMSNorm and the eager softmax, which are float32 in "
            "Transformers, by float64 ones",
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        cases,
    )


if __name__ == "__main__":
    main()
