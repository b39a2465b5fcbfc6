#!/usr/bin/env python3
"""Trains models/tiny: a Mistral of 1.2 million parameters that writes English. For developers only:
the result is in the repository, and nothing else needs this file.

    apt-get download r-cran-janeaustenr          (Debian 12, 1.0.0-1)
    pip install torch sentencepiece              (README.md beside this file has the versions)
    python3 train.py r-cran-janeaustenr_1.0.0-1_all.deb OUT_DIR

The text: Jane Austen's six novels (1811-1818, in the public domain), as plain text in the Debian
package r-cran-janeaustenr (MIT). The last 3 % of each novel are held out.

The model is written here from the formulas, in the naming of Mistral's own checkpoints: grouped
queries, interleaved RoPE, RMSNorm, SwiGLU, and a window of 64 that is shorter than the 256 tokens of
the training context, so that the window is something the weights have learned to live with.

One thread and seeded: the same versions on the same machine give the same bytes.
"""
import argparse
import io
import json
import math
import pathlib
import re
import subprocess
import sys
import tarfile
import time
import zlib

import sentencepiece
import torch
import torch.nn.functional as F

PARAMS = {
    "dim": 128,
    "n_layers": 4,
    "head_dim": 16,
    "hidden_dim": 344,
    "n_heads": 8,
    "n_kv_heads": 2,
    "norm_eps": 1e-5,
    "vocab_size": 2048,
    "sliding_window": 64,
    "rope_theta": 10000.0,
}
CONTEXT = 256
DATA = "./usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
DOCUMENT = 1200  # characters, at least; cut at a paragraph's end


# ---- text ----


def read_strings(blob):
    """The lines of an R character vector as saveRDS(compress = FALSE) writes it."""
    if blob[:2] != b"X\n":
        raise SystemExit("the package's data is not R's XDR serialization")
    u32 = lambda at: int.from_bytes(blob[at : at + 4], "big")
    at = 14
    if u32(2) == 3:
        at += 4 + u32(14)
    if u32(at) & 0xFF != 16:
        raise SystemExit("the package's data is not a character vector")
    n, at, lines = u32(at + 4), at + 8, []
    for _ in range(n):
        size = u32(at + 4)
        lines.append(blob[at + 8 : at + 8 + size].decode("utf-8"))
        at += 8 + size
    return lines


def read_novels(deb):
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        rest = archive.extractfile(DATA).read()
    novels = []
    while rest:  # each object: its size, then a zlib stream
        stream = zlib.decompressobj()
        blob = stream.decompress(rest[4:])
        rest = stream.unused_data
        if blob[-4:] and b"\x00\x00\x00\x10" in blob[:64]:
            novels.append(read_strings(blob))
    return novels


def paragraphs(lines):
    """Lines joined, without emphasis marks, headings and chapter numbers."""
    text = re.sub(r"[ \t]+\n", "\n", "\n".join(lines))
    for block in re.split(r"\n{2,}", text):
        block = re.sub(r"\s+", " ", block.replace("_", "")).strip()
        is_heading = block.upper() == block or re.match(r"(CHAPTER|Chapter|VOLUME|Volume)\b", block)
        if block and not is_heading:
            yield block


def documents(novel):
    text, out = "", []
    for paragraph in paragraphs(novel):
        text = f"{text}\n{paragraph}" if text else paragraph
        if len(text) >= DOCUMENT:
            out.append(text)
            text = ""
    return out


# ---- the model ----


def rms_norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + PARAMS["norm_eps"]) * weight


def rope_table(n):
    hd = PARAMS["head_dim"]
    frequency = PARAMS["rope_theta"] ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def rotate(x, table):
    """[B, heads, T, head_dim]: pair (2i, 2i+1) turns."""
    cos, sin = (t[: x.shape[2]] for t in table)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def make_mask(n):
    i = torch.arange(n)
    back = i[:, None] - i[None, :]
    return (back >= 0) & (back < PARAMS["sliding_window"])


def forward(w, tokens, table, mask):
    p = PARAMS
    x = w["tok_embeddings.weight"][tokens]
    n_batch, n = tokens.shape
    heads = lambda y, k: y.view(n_batch, n, k, p["head_dim"]).transpose(1, 2)
    for layer in range(p["n_layers"]):
        g = lambda name: w[f"layers.{layer}.{name}.weight"]
        h = rms_norm(x, g("attention_norm"))
        q = rotate(heads(h @ g("attention.wq").T, p["n_heads"]), table)
        k = rotate(heads(h @ g("attention.wk").T, p["n_kv_heads"]), table)
        v = heads(h @ g("attention.wv").T, p["n_kv_heads"])
        n_shared = p["n_heads"] // p["n_kv_heads"]
        k, v = k.repeat_interleave(n_shared, 1), v.repeat_interleave(n_shared, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:n, :n])
        x = x + y.transpose(1, 2).reshape(n_batch, n, -1) @ g("attention.wo").T
        h = rms_norm(x, g("ffn_norm"))
        gated = F.silu(h @ g("feed_forward.w1").T) * (h @ g("feed_forward.w3").T)
        x = x + gated @ g("feed_forward.w2").T
    return rms_norm(x, w["norm.weight"]) @ w["output.weight"].T


def make_weights(generator):
    p = PARAMS
    q, kv = p["n_heads"] * p["head_dim"], p["n_kv_heads"] * p["head_dim"]
    d, f, v = p["dim"], p["hidden_dim"], p["vocab_size"]
    shapes = {"tok_embeddings": (v, d)}
    for layer in range(p["n_layers"]):
        shapes |= {
            f"layers.{layer}.{name}": shape
            for name, shape in {
                "attention_norm": (d,), "attention.wq": (q, d), "attention.wk": (kv, d),
                "attention.wv": (kv, d), "attention.wo": (d, q), "ffn_norm": (d,),
                "feed_forward.w1": (f, d), "feed_forward.w2": (d, f), "feed_forward.w3": (f, d),
            }.items()
        }
    shapes |= {"norm": (d,), "output": (v, d)}
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            value = torch.ones(shape)
        else:
            added = name.endswith(("wo", "w2"))
            spread = 0.02 if "layers" not in name else shape[1] ** -0.5 * (0.35 if added else 1)
            value = torch.randn(shape, generator=generator) * spread
        weights[name + ".weight"] = value.requires_grad_()
    return weights


# ---- training ----


def orthogonalize(g):
    """The nearest matrix whose singular values are about 1: five steps of Newton and Schulz."""
    x = g / (g.norm() + 1e-7)
    x = x.T if g.shape[0] > g.shape[1] else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if g.shape[0] > g.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal (K. Jordan, 2024): for the matrices inside the layers."""

    def __init__(self, matrices, lr):
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                mean = self.state[w].setdefault("mean", torch.zeros_like(w))
                mean.lerp_(w.grad, 0.05)
                update = orthogonalize(w.grad.lerp(mean, 0.95))
                shape = max(1, w.shape[0] / w.shape[1]) ** 0.5
                w.mul_(1 - 0.1 * group["lr"]).sub_(update, alpha=group["lr"] * shape)


def make_optimizers(weights, rate):
    inner = [w for name, w in weights.items() if w.dim() == 2 and "layers" in name]
    outer = [w for name, w in weights.items() if w.dim() == 1 or "layers" not in name]
    return [(Muon(inner, 0.02), 0.02),
            (torch.optim.AdamW(outer, betas=(0.9, 0.95), eps=1e-9, weight_decay=0.01), rate)]


def save_state(path, step, weights, optimizers, generator):
    part = path.with_suffix(".part")
    torch.save({"step": step, "weights": {n: w.detach() for n, w in weights.items()},
                "optimizers": [o.state_dict() for o, _ in optimizers],
                "generator": generator.get_state()}, part)
    part.rename(path)


def load_state(path, weights, optimizers, generator):
    """The step to go on with: what was killed goes on, and ends with the same bytes."""
    if not path.exists():
        return 0
    state = torch.load(path)
    for name, w in weights.items():
        w.data.copy_(state["weights"][name])
    for (optimizer, _), saved in zip(optimizers, state["optimizers"]):
        optimizer.load_state_dict(saved)
    generator.set_state(state["generator"])
    return state["step"]


def set_rates(optimizers, step, steps):
    """A hundred steps up, then half a cosine down to a twentieth."""
    warm = min(1.0, (step + 1) / 100)
    scale = warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for optimizer, full_rate in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = full_rate * scale


def train(weights, tokens, steps, batch, rate, generator, state_path):
    optimizers = make_optimizers(weights, rate)
    table, mask, start, mean = rope_table(CONTEXT), make_mask(CONTEXT), time.time(), None
    for step in range(load_state(state_path, weights, optimizers, generator), steps):
        if step % 100 == 0 and step > 0:
            save_state(state_path, step, weights, optimizers, generator)
        set_rates(optimizers, step, steps)
        at = torch.randint(len(tokens) - CONTEXT, (batch,), generator=generator)
        rows = torch.stack([tokens[a : a + CONTEXT + 1] for a in at.tolist()])
        logits = forward(weights, rows[:, :-1], table, mask)
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        for weight in weights.values():
            weight.grad = None
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0 or step + 1 == steps:
            print(f"step {step}/{steps} loss {mean:.3f} {time.time() - start:.0f} s",
                  file=sys.stderr, flush=True)


@torch.no_grad()
def evaluate(weights, tokens):
    """Mean -log p over pieces of 4 windows, for positions inside the first window and beyond it."""
    w, n = PARAMS["sliding_window"], 4 * PARAMS["sliding_window"]
    table, mask = rope_table(n), make_mask(n)
    losses = []
    for at in range(0, len(tokens) - n - 1, n):
        row = tokens[at : at + n + 1]
        logits = forward(weights, row[None, :-1], table, mask)[0]
        losses.append(F.cross_entropy(logits, row[1:], reduction="none"))
    losses = torch.stack(losses)
    return {
        "tokens": losses.numel(),
        "perplexity": math.exp(losses.mean()),
        "perplexity_within_window": math.exp(losses[:, : w].mean()),
        "perplexity_beyond_window": math.exp(losses[:, w:].mean()),
    }


def write_safetensors(path, weights):
    """bf16, in the order of the dict; the header is padded to 8 bytes."""
    header, data = {}, []
    at = 0
    for name, w in weights.items():
        raw = w.detach().to(torch.bfloat16).view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(w.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))


def train_tokenizer(texts, path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for t in texts for line in t.split("\n")),
        model_writer=model, model_type="bpe", vocab_size=PARAMS["vocab_size"], byte_fallback=True,
        character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=True,
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1, max_sentence_length=100000,
        minloglevel=2)
    path.write_bytes(model.getvalue())


def encode(texts, path):
    """Every document with <s> before it and </s> behind."""
    sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return torch.tensor([i for t in texts for i in [1, *sp.encode(t), 2]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deb")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(o.seed)
    o.out.mkdir(parents=True, exist_ok=True)

    seen, held_out = [], []
    for novel in read_novels(o.deb):
        texts = documents(novel)
        cut = len(texts) - len(texts) * 3 // 100
        seen += texts[:cut]
        held_out += texts[cut:]
    train_tokenizer(seen, o.out / "tokenizer.model")
    tokens, rest = (encode(t, o.out / "tokenizer.model") for t in (seen, held_out))
    (o.out / "held-out.txt").write_text("\n".join(held_out[:: max(1, len(held_out) // 20)]) + "\n")
    print(f"{sum(map(len, seen))} characters, {len(tokens)} tokens, {len(rest)} held out",
          file=sys.stderr)

    weights = make_weights(generator)
    train(weights, tokens, o.steps, o.batch, o.rate, generator, o.out / "state.pt")
    write_safetensors(o.out / "consolidated.safetensors", weights)
    (o.out / "params.json").write_text(json.dumps(PARAMS, indent=2) + "\n")
    rounded = {name: w.detach().to(torch.bfloat16).float() for name, w in weights.items()}
    print(json.dumps(evaluate(rounded, rest), indent=2))


if __name__ == "__main__":
    main()
