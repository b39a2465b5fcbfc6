"""harness/synthetic.h in numpy: the generator, token ids, and the weights of synthetic:probe.

Element i of a stream under a seed is mix(key + (i + 1) * GOLDEN): no state, so whole arrays at once.
"""
import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SQRT3 = np.float32(1.7320508)

PROBE = {
    "dim": 64,
    "n_layers": 4,
    "head_dim": 16,
    "hidden_dim": 172,
    "n_heads": 8,
    "n_kv_heads": 2,
    "vocab_size": 509,
    "sliding_window": 8,
    "norm_eps": 1e-5,
    "rope_theta": 1e4,
}


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_name(name):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return np.uint64(value)


def bits(seed, name, n):
    """[n] uint64: the stream of that name."""
    with np.errstate(over="ignore"):
        key = mix(np.uint64(seed) * GOLDEN + hash_name(name))
        return mix(key + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * GOLDEN)


def tokens(n, vocab_size, seed):
    """[n] int32: what mistral-verify takes as its prompt for --seed SEED."""
    high = bits(seed * 1000003, "tokens", n) >> np.uint64(32)
    return (high * np.uint64(vocab_size) >> np.uint64(32)).astype("<i4")


def to_bf16(values):
    """Finite float32 to the bits of bfloat16, to nearest, ties to even."""
    raw = values.astype("<f4").view("<u4")
    return ((raw + 0x7FFF + ((raw >> 16) & 1)) >> 16).astype("<u2")


def spread(deviation, n_in):
    root = np.float32(1)
    for _ in range(40):
        root = np.float32(0.5) * (root + np.float32(n_in) / root)
    return np.float32(deviation) * SQRT3 / root


def head_gains(n_rows, rows_a_head, first, last):
    """[n_rows] float32: from `first` in head 0 to `last` in the last head."""
    head = (np.arange(n_rows) // rows_a_head).astype(np.float32)
    at = head / np.float32(n_rows // rows_a_head - 1)
    return np.float32(first) + (np.float32(last) - np.float32(first)) * at


def fill(name, shape, offset, size, gains=None, seed=1):
    u = (bits(seed, name, int(np.prod(shape))) >> np.uint64(40)).astype(np.int32) - (1 << 23)
    u = u.astype(np.float32).reshape(shape)
    gains = np.ones(shape[0], np.float32) if gains is None else gains
    scale = (np.float32(size) * gains) * np.float32(2.0**-23)
    return to_bf16(np.float32(offset) + u * (scale[:, None] if len(shape) == 2 else scale))


def probe_weights():
    """{name: bfloat16 bits as uint16, shape as in the checkpoint}: fill_all() of synthetic.c."""
    p, weights = PROBE, {}
    dim, hidden, size = p["dim"], p["hidden_dim"], p["head_dim"]
    q, kv = p["n_heads"] * size, p["n_kv_heads"] * size
    added = 0.5

    def matrix(name, n_out, n_in, deviation, gains=None):
        weights[name] = fill(name, (n_out, n_in), 0, spread(deviation, n_in), gains)

    def norm(name):
        weights[name] = fill(name, (dim,), 1, 0.5)

    name = "tok_embeddings.weight"
    weights[name] = fill(name, (p["vocab_size"], dim), 0, SQRT3)
    for layer in range(p["n_layers"]):
        at = f"layers.{layer}."
        norm(at + "attention_norm.weight")
        matrix(at + "attention.wq.weight", q, dim, 1.6, head_gains(q, size, 0.7, 1.3))
        matrix(at + "attention.wk.weight", kv, dim, 1.6, head_gains(kv, size, 1.2, 0.8))
        matrix(at + "attention.wv.weight", kv, dim, 1.0, head_gains(kv, size, 0.6, 1.4))
        matrix(at + "attention.wo.weight", dim, q, 2 * added)
        norm(at + "ffn_norm.weight")
        matrix(at + "feed_forward.w1.weight", hidden, dim, 1.5)
        matrix(at + "feed_forward.w2.weight", dim, hidden, 2 * added)
        matrix(at + "feed_forward.w3.weight", hidden, dim, 1.0)
    norm("norm.weight")
    matrix("output.weight", p["vocab_size"], dim, 2.0)
    return weights
