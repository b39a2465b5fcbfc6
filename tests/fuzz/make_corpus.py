#!/usr/bin/env python3
"""Writes the seed corpora under corpus/: small, valid files and near misses, one feature each.

    python3 tests/fuzz/make_corpus.py

Needs nothing but Python: the pickles are put together by hand, as the C tests do it. Overwrites its
own files and leaves others (inputs that once broke something: found-*) alone.
"""
import hashlib
import io
import json
import math
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
TOKENIZER = HERE.parent / "data" / "tokenizer_small.model"
TORCH_SAVED = HERE.parent / "data" / "torch_save_small.pth"


def text(string):
    data = string.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(number):
    if 0 <= number < 256:
        return b"K" + bytes([number])
    return b"\x8a\x08" + struct.pack("<q", number)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


ORDERED = name("collections", "OrderedDict") + b")R"


def tensor(storage="Float", key="0", numel=6, offset=0, shape=(2, 3), stride=(3, 1)):
    def numbers(items):
        return b"(" + b"".join(map(integer, items)) + b"t"

    persistent_id = (b"(" + text("storage") + name("torch", storage + "Storage") + text(key)
                     + text("cpu") + integer(numel) + b"tQ")
    return (name("torch._utils", "_rebuild_tensor_v2") + b"(" + persistent_id + integer(offset)
            + numbers(shape) + numbers(stride) + b"\x89" + ORDERED + b"tR")


def state_dict(tensors, ordered=True, tail=b"."):
    items = b"".join(text(key) + value for key, value in tensors.items())
    return b"\x80\x02" + (ORDERED if ordered else b"}") + b"(" + items + b"u" + tail


METADATA = (b"}" + text("_metadata") + ORDERED + b"(" + text("") + b"}" + text("version")
            + integer(1) + b"su" + b"sb.")

PICKLES = {
    "plain_dict": state_dict({"a": tensor()}, ordered=False),
    "ordered_dict": state_dict({"a": tensor()}),
    "three_dtypes": state_dict({"a": tensor(), "b": tensor("Half", "1"),
                                "c": tensor("BFloat16", "2")}),
    "shared_and_transposed": state_dict({"a": tensor(), "t": tensor(shape=(3, 2), stride=(1, 3))}),
    "vector_with_offset": state_dict({"v": tensor(offset=2, shape=(2,), stride=(2,))}),
    "metadata": state_dict({"a": tensor()}, tail=METADATA),
    "memo": (b"\x80\x02}q\x00(" + text("a") + b"q\x01" + tensor() + b"r\x02\x00\x00\x00"
             + text("b") + b"j\x02\x00\x00\x00u."),
    "list_float_none": state_dict({"a": tensor()}, tail=METADATA[:-4] + text("x") + b"]K\x01a(NG"
                                  + struct.pack(">d", 0.5) + b"\x88M\x00\x01J\xff\xff\xff\xffe"
                                  + METADATA[-4:]),
    "long_numel": state_dict({"a": tensor(numel=2 ** 40)}),
    "overflowing_shape": state_dict({"a": tensor(shape=(2 ** 62, 2 ** 62))}),
    "overflowing_stride": state_dict({"a": tensor(stride=(2 ** 62, 2 ** 62))}),
    "expanded": state_dict({"a": tensor(shape=(100, 100), stride=(0, 0))}),
    "three_dims": state_dict({"a": tensor(shape=(1, 2, 3), stride=(6, 3, 1))}),
    "nested": b"\x80\x02}" + text("model") + b"}" + text("a") + tensor() + b"ss.",
    "holds_itself": b"\x80\x02}q\x00" + text("a") + b"h\x00s.",
    "duplicate": state_dict({"a": tensor()}, tail=text("a") + tensor() + b"s."),
    "step": state_dict({"a": tensor(), "step": integer(3)}),
    "system": b"\x80\x02" + name("os", "system") + text("id") + b"\x85R.",
    "long_storage": state_dict({"a": tensor("Long")}),
    "protocol_4": b"\x80\x04}.",
    "protocol_0": b"(dp0\n.",
}


def archive(pickle, storages, byteorder="little", method=zipfile.ZIP_STORED, prefix="x"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        def add(entry, data, how=zipfile.ZIP_STORED):
            info = zipfile.ZipInfo(f"{prefix}/{entry}")  # its date is constant: same bytes always
            info.compress_type = how
            zipped.writestr(info, data)

        add("data.pkl", pickle)
        if byteorder is not None:
            add("byteorder", byteorder)
        for key, data in storages.items():
            add(f"data/{key}", data, method)
        add("version", "3\n")
    return out.getvalue()


SIX = struct.pack("<6f", *range(6))
ARCHIVES = {
    "one": archive(PICKLES["plain_dict"], {"0": SIX}),
    "three_dtypes": archive(PICKLES["three_dtypes"], {"0": SIX, "1": SIX[:12], "2": SIX[:12]}),
    "no_byteorder": archive(PICKLES["ordered_dict"], {"0": SIX}, byteorder=None),
    "big_endian": archive(PICKLES["ordered_dict"], {"0": SIX}, byteorder="big"),
    "shared_and_transposed": archive(PICKLES["shared_and_transposed"], {"0": SIX}),
    "deflated": archive(PICKLES["ordered_dict"], {"0": SIX}, method=zipfile.ZIP_DEFLATED),
    "short_storage": archive(PICKLES["ordered_dict"], {"0": SIX[:20]}),
    "no_storage": archive(PICKLES["ordered_dict"], {}),
    "bad_checksum": archive(PICKLES["ordered_dict"], {"0": SIX}).replace(SIX, SIX[:-1] + b"\x01"),
    "cut": archive(PICKLES["ordered_dict"], {"0": SIX})[:-5],
    "pickle_alone": PICKLES["ordered_dict"],
}


def safetensors(header, data, pad=True):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8 if pad else 0)
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype="F32", shape=(2, 3), begin=0, end=24):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


SAFETENSORS = {
    "one": safetensors({"a": entry()}, SIX),
    "metadata": safetensors({"__metadata__": {"format": "pt"}, "a": entry()}, SIX),
    "three_dtypes": safetensors({"c": entry("BF16", [6], 36, 48), "a": entry(),
                                 "b": entry("F16", [3, 2], 24, 36)}, SIX + SIX),
    "unaligned": safetensors({"b": entry("F16", [1], 0, 2), "a": entry("F32", [1], 2, 6)}, SIX[:6]),
    "unpadded": safetensors({"a": entry()}, SIX, pad=False),
    "overlap": safetensors({"a": entry(), "b": entry("F32", [1], 20, 24)}, SIX),
    "hole": safetensors({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, SIX[:12]),
    "beyond_the_end": safetensors({"a": entry(end=28, shape=[7])}, SIX),
    "overflowing_shape": safetensors({"a": entry(shape=[2 ** 62, 4])}, SIX),
    "integer": safetensors({"a": entry("I64", [3])}, SIX),
    "three_dims": safetensors({"a": entry(shape=[1, 2, 3])}, SIX),
    "duplicate": safetensors(b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"a":{}}', SIX),
    "no_tensors": safetensors({}, b""),
    "long_header": struct.pack("<Q", 2 ** 62) + b"{}",
    "not_json": safetensors(b'{"a":', SIX),
    "cut": safetensors({"a": entry()}, SIX)[:40],
}

V01 = {"dim": 64, "n_layers": 2, "head_dim": 8, "hidden_dim": 96, "n_heads": 8, "n_kv_heads": 4,
       "norm_eps": 1e-5, "sliding_window": 16, "vocab_size": 300}
HF = {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_size": 64,
      "num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 8,
      "num_key_value_heads": 4, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "sliding_window": 16,
      "vocab_size": 300, "hidden_act": "silu", "tie_word_embeddings": False}

PARAMS = {
    "v0.1": V01,
    "v0.2": {**V01, "sliding_window": None, "rope_theta": 1e6},
    "lists": {**V01, "sliding_window": [16, 0]},
    "moe": {**V01, "moe": {"num_experts": 8, "num_experts_per_tok": 2}},
    "unknown": {**V01, "logit_softcap": 30.0},
    "negative": {**V01, "n_layers": -1},
    "huge": {**V01, "dim": 2 ** 63 - 1},
    "odd_head": {**V01, "head_dim": 7},
    "not_a_multiple": {**V01, "n_kv_heads": 3},
    "nan": b'{"dim":64,"norm_eps":NaN}',
    "duplicate": b'{"dim":64,"dim":65}',
    "config": HF,
    "config_rope_parameters": {**{k: v for k, v in HF.items() if k != "rope_theta"},
                               "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "config_scaling": {**HF, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "config_layer_types": {**HF, "layer_types": ["sliding_attention", "full_attention"]},
    "config_llama": {**HF, "model_type": "llama", "architectures": ["LlamaForCausalLM"],
                     "head_dim": 8, "tie_word_embeddings": True},
    "empty": b"",
    "deep": b"[" * 3000,
}


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for label, data in seeds.items():
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        (folder / label).write_bytes(raw)
    print(f"{target}: {len(seeds)} seeds")


def results(schema, **changes):
    """Few facts, one case or one row, and each kind of value."""
    document = {"schema": schema, "tool": {"version": "0.1.0", "commit": "0123abc"},
                "environment": {"cpu_model": "A CPU"},
                "model": {"spec": "synthetic:probe", "weights_sha256": "a" * 64,
                          "params": {"dim": 64, "n_layers": 4, "head_dim": 16, "hidden_dim": 128,
                                     "n_heads": 4, "n_kv_heads": 2, "vocab_size": 256,
                                     "sliding_window": 8, "norm_eps": 1e-5, "rope_theta": 1e4}}}
    return json.dumps({**document, **changes}).encode()


def verification(verdict="fail", case=None, **changes):
    one = {"suite": "window", "case": "chunk 3", "backend": "blas", "compute": "f32", "window": 8,
           "chunk": 3, "length": 64, "seed": 1, "verdict": verdict, "reason": "above the limit",
           "coverage": {"positions": 64, "beyond_window": 56},
           "metrics": {"r_rmse": 41.25, "max_abs": "inf", "effective_window": 9},
           "limits": {"r_rmse": 2}, "headroom": 0.05,
           "worst": {"position": 17, "token_id": 3, "expected": -1.25, "actual": "nan"},
           "first_divergence": {"layer": 0, "op": "attention", "position": 8},
           "reproduce": "mistral-verify --suite window", "elapsed_ns": 1000}
    one.update(case or {})
    return results("mistral-verify/1", verdict=verdict, cases=[one], **{
        "summary": {"passed": 0, "failed": 1, "errors": 0, "skipped": 0, "vacuous": 0,
                    "elapsed_s": 0.41}, **changes})


SELF_TEST = {"mutants": [{"name": "window_plus_one", "imitates": "a mask", "expected_suites": ["window"],
                          "killed_by": ["window", "ring"], "r_rmse": 41.25, "equivalent": False}],
             "killed": 1, "total": 1, "benign_total": 4, "false_alarms": 0}

ROW = {"backend": "blas", "build_id": "1", "compute": "bf16", "phase": "decode", "prompt": 0,
       "generate": 16, "depth": 64, "chunk": 0, "window": 8, "batch": 1, "threads": 2, "seed": 1,
       "samples_ns": [1000, 1100], "warmup": 3, "tokens_per_s": {"median": 9e5, "ci95": [0, "inf"]},
       "deviation": 0.1, "token_ns_p50": 1050, "bytes_per_token": 4e5, "flops_per_token": 5e5,
       "fraction_of_limit": 0.5, "limit": "bandwidth", "memory": {"kv_cache": 8192},
       "work": {"calls": 16}, "checked": True, "check": "all logits", "logits": "0123",
       "warnings": [{"code": "steal", "text": "1.07 cores"}]}

RESULTS = {
    "verification": verification(),
    "self_test": verification(self_test=SELF_TEST),
    "contradiction": verification(verdict="pass", case={"verdict": "fail"}),
    "large_seed": verification(case={"seed": str(2 ** 64 - 1)}),
    "long_text": verification(case={"reason": "\u20ac" * 300, "schedule": "5,1,1,7" * 60}),
    "hostile": verification(case={"backend": "</script><b>\"'&\u202e", "reason": "\u2028\ufffe"}),
    "profile": verification(case={"divergence_profile": {
        "layers": 3, "layers_per_row": 2, "positions": 5, "positions_per_bin": 2, "ops": [
            {"op": "embedding", "times_limit": 0.1}, {"layer": 0, "op": "q", "times_limit": 41.2},
            {"layer": 2, "op": "q", "times_limit": "inf"}, {"op": "logits", "times_limit": 0}],
        "rows": [[0.5, 3, "nan"], [0.1, "inf", 0]], "outside": ["nan", "nan", "nan"]}}),
    "no_cases": results("mistral-verify/1", verdict="vacuous", cases=[], summary={"elapsed_s": 0}),
    "times": results("mistral-bench/1", elapsed_s=1.5, runs=[ROW, {**ROW, "depth": 128}], ceilings={
        "flops_per_s": 4e10, "threads": 2, "how": "FMA",
        "reads": [{"working_set_bytes": 1 << 28, "read_bytes_per_s": 1.7e10}]}),
    "gate": results("mistral-bench/1", elapsed_s=1.5, runs=[], comparison=[
        {"key": "decode", "ratio": {"median": 1.08, "ci95": [1.05, 1.1]}, "groups": 24,
         "gate_percent": 2, "verdict": "slower"}], claims=[
        {"id": "flat", "statement": "flat", "predicted": "1", "measured": "0.7", "holds": False}]),
    "other_schema": results("mistral-verify/2"),
}


# ---- tokenizers: protobuf by hand ----

def field(number, value):
    """A varint, or a message or text."""
    def varint(rest):
        low, rest = rest & 0x7f, rest >> 7
        return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def piece(string, kind=1, score=0.0):
    return field(1, field(1, string.encode()) + b"\x15" + struct.pack("<f", score) + field(3, kind))


SPACE = piece("\u2581")


def tokenizer(*pieces, trainer=field(3, 2) + field(35, 1), normalizer=field(4, 0)):
    usual = [piece("<unk>", 2), piece("<s>", 3), piece("</s>", 3)]
    usual += [piece(f"<0x{byte:02X}>", 6) for byte in range(256)]
    return b"".join(usual) + b"".join(pieces) + field(2, trainer) + field(3, normalizer)


TOKENIZERS = {
    "bytes_alone": tokenizer(SPACE),
    "no_space": tokenizer(),
    "merges": tokenizer(piece("\u2581t", 1, -1.0), piece("es", 1, -2.0), SPACE, piece("t"),
                        piece("e"), piece("s")),
    "user_defined": tokenizer(SPACE, piece("is ", 4), piece("[INST]", 4), piece("unused", 5)),
    "no_prefix": tokenizer(SPACE, normalizer=field(3, 0) + field(4, 0)),
    "unk_surface": tokenizer(SPACE, trainer=field(3, 2) + field(35, 1) + field(44, "\u2047".encode())),
    "no_byte_fallback": tokenizer(trainer=field(3, 2)),
    "unigram": tokenizer(trainer=field(3, 1) + field(35, 1)),
    "table": tokenizer(normalizer=field(2, b"x") + field(4, 0)),
    "score_nan": tokenizer(piece("a", 1, float("nan"))),
    "no_pieces": field(2, field(3, 2) + field(35, 1)),
}


# ---- Hugging Face's layout: a model of 12 tensors, in parts with a line between them ----

SMALL_HF = {**HF, "hidden_size": 4, "num_hidden_layers": 1, "intermediate_size": 3,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 5}
HF_SHAPES = {"model.embed_tokens": [5, 4], "model.norm": [4], "lm_head": [5, 4]}
HF_SHAPES.update({"model.layers.0." + key: shape for key, shape in {
    "input_layernorm": [4], "self_attn.q_proj": [8, 4], "self_attn.k_proj": [4, 4],
    "self_attn.v_proj": [4, 4], "self_attn.o_proj": [4, 8], "post_attention_layernorm": [4],
    "mlp.gate_proj": [3, 4], "mlp.down_proj": [4, 3], "mlp.up_proj": [3, 4]}.items()})
HF_NAMES = sorted(f"{key}.weight" for key in HF_SHAPES)


def hf_shard(names, dtype="BF16", shapes=None, more=None):
    """Every element has another value, so that a row in the wrong place is one."""
    header, data = {}, b""
    for label in names:
        shape = {**HF_SHAPES, **(shapes or {})}[label[:-len(".weight")]]
        n = math.prod(shape)
        values = struct.pack(f"<{n}H", *range(len(data) // 2, len(data) // 2 + n))
        header[label] = entry(dtype, shape, len(data), len(data) + len(values))
        data += values
    for label, shape in (more or {}).items():
        header[label] = entry("F32", shape, len(data), len(data) + 4 * shape[0])
        data += struct.pack("<f", 1) * shape[0]
    return safetensors(header, data)


def hf_model(config=None, index=None, a=b"", b=b"", **changes):
    parts = [{**SMALL_HF, **(config or {})}, index if index is not None else "", a, b]
    parts[0].update(changes)
    parts = [p if isinstance(p, bytes) else json.dumps(p).encode() if p != "" else b"" for p in parts]
    return b"\n====\n".join(parts)


def hf_index(first, second, **changes):
    return {"metadata": {"total_size": 300}, "weight_map": {
        **dict.fromkeys(first, "a.safetensors"), **dict.fromkeys(second, "b.safetensors"), **changes}}


FIRST, SECOND = HF_NAMES[:6], HF_NAMES[6:]
UNTIED = [label for label in HF_NAMES if label != "lm_head.weight"]
BUFFER = {"model.layers.0.self_attn.rotary_emb.inv_freq": [2]}
HF_FOLDERS = {
    "shards": hf_model(index=hf_index(FIRST, SECOND), a=hf_shard(FIRST), b=hf_shard(SECOND)),
    "single": hf_model(a=hf_shard(HF_NAMES)),
    "single_f16": hf_model(a=hf_shard(HF_NAMES, "F16")),
    "one_shard": hf_model(index=hf_index(HF_NAMES, []), a=hf_shard(HF_NAMES)),
    "tied": hf_model(a=hf_shard(UNTIED), tie_word_embeddings=True),
    "tied_and_there": hf_model(a=hf_shard(HF_NAMES), tie_word_embeddings=True),
    "buffer": hf_model(a=hf_shard(HF_NAMES, more=BUFFER)),
    "another_tensor": hf_model(a=hf_shard(HF_NAMES, more={"model.bias": [1]})),
    "in_both_shards": hf_model(index=hf_index(FIRST, SECOND), a=hf_shard(FIRST),
                               b=hf_shard(SECOND + FIRST[:1])),
    "not_where_it_says": hf_model(index=hf_index(FIRST, SECOND), a=hf_shard(SECOND),
                                  b=hf_shard(FIRST)),
    "missing": hf_model(index=hf_index(FIRST, SECOND[1:]), a=hf_shard(FIRST), b=hf_shard(SECOND[1:])),
    "other_shape": hf_model(a=hf_shard(HF_NAMES, shapes={"model.norm": [3]})),
    "head_of_2": hf_model(a=hf_shard(HF_NAMES, shapes={"model.layers.0.self_attn.q_proj": [4, 4]}),
                          head_dim=2),
    "out_of_the_folder": hf_model(index=hf_index([], [], x="../a.safetensors"), a=hf_shard(FIRST)),
    "no_such_shard": hf_model(index=hf_index(FIRST, SECOND, x="c.safetensors"), a=hf_shard(FIRST),
                              b=hf_shard(SECOND)),
    "no_map": hf_model(index={"metadata": {}}, a=hf_shard(HF_NAMES)),
    "empty_map": hf_model(index={"weight_map": {}}),
    "map_of_numbers": hf_model(index={"weight_map": {"model.norm.weight": 1}}),
    "index_is_a_list": hf_model(index=b"[]"),
    "many_layers": hf_model(a=hf_shard(HF_NAMES), num_hidden_layers=4096),
}


# ---- goldens: objects as fuzz_hdf5.h describes them ----

TYPES = ["i32", "i64", "f32", "f64", "u64", "u8", "i16be", "f64be", "reference", "text", "variable",
         "index_row", "weight_row", "list", "bits", "i32be"]
PACKED = {"i32": "i", "i64": "q", "f32": "f", "f64": "d", "u64": "Q"}


def h5(path, kind, values, dims=None):
    """A dataset, or an attribute where the path has an @."""
    if isinstance(values, str):
        values = values.encode()
    size = len(values) if kind == "text" else 0
    if not isinstance(values, bytes):
        values = struct.pack(f"<{len(values)}{PACKED[kind]}", *values)
    dims = [] if dims is None else dims
    return (b"\xc1obj" + (b"A" if "@" in path else b"D") + bytes([len(path)]) + path.encode("latin-1")
            + bytes([TYPES.index(kind)]) + struct.pack("<H", size) + bytes([len(dims)])
            + struct.pack(f"<{len(dims)}I", *dims) + values)


def mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 % 2 ** 64
    z = (z ^ z >> 27) * 0x94d049bb133111eb % 2 ** 64
    return z ^ z >> 31


def sketch(row, seed=64):
    """As golden/README.md defines it; the logits are whole numbers, so the sums are exact."""
    golden, stream = 0x9e3779b97f4a7c15, 0x49a8bb6aaccd2549
    key = mix((seed * golden + stream) % 2 ** 64)
    bits = [mix((key + (v + 1) * golden) % 2 ** 64) for v in range(len(row))]
    return [sum(x * (-1) ** (bin(j & b >> 8 * g & 15).count("1") + (b >> 8 * g + 4 & 1))
                for x, b in zip(row, bits)) for g in range(4) for j in range(16)]


MISTRAL_SHAPES = [("tok_embeddings", 3, 2), ("layers.0.attention_norm", 2, 1),
                  ("layers.0.attention.wq", 2, 2), ("layers.0.attention.wk", 2, 2),
                  ("layers.0.attention.wv", 2, 2), ("layers.0.attention.wo", 2, 2),
                  ("layers.0.ffn_norm", 2, 1), ("layers.0.feed_forward.w1", 1, 2),
                  ("layers.0.feed_forward.w2", 2, 1), ("layers.0.feed_forward.w3", 1, 2),
                  ("norm", 2, 1), ("output", 3, 2)]
GOLDEN_PARAMS = {"dim": 2, "n_layers": 1, "head_dim": 2, "hidden_dim": 1, "n_heads": 1,
                 "n_kv_heads": 1, "vocab_size": 3, "sliding_window": 2}


def golden_model(**changes):
    rows = b"".join(struct.pack("<64s8sQQ64s", f"{label}.weight".encode(), b"bf16", n_out, n_in,
                                b"0" * 64) for label, n_out, n_in in MISTRAL_SHAPES)
    texts = {"window_semantics": "incl_self", "spec": "synthetic:x", "tokenizer_sha256": "\0",
             **{k: v for k, v in changes.items() if isinstance(v, str)}}
    numbers = {**GOLDEN_PARAMS, **{k: v for k, v in changes.items() if isinstance(v, int)}}
    return (b"".join(h5(f"/model@{k}", "text", v) for k, v in texts.items())
            + b"".join(h5(f"/model@{k}", "i64", [v]) for k, v in numbers.items())
            + h5("/model@norm_eps", "f64", [1e-5]) + h5("/model@rope_theta", "f64", [1e4])
            + h5("/model/weights", "weight_row", rows, [len(MISTRAL_SHAPES)]))


def golden_case(number=0, window=2, chunk=2, logits=((0, 0, 0), (3, -1, 2)), kept=(0, 1), **changes):
    group, n, m = f"/cases/{number:04d}", len(logits), len(kept)
    order = [sorted(range(3), key=lambda v, row=row: (-row[v], v)) for row in logits]
    flat = {"sketch": [x for row in logits for x in sketch(row)],
            "top_ids": [v for ids in order for v in ids],
            "top_values": [row[v] for row, ids in zip(logits, order) for v in ids],
            "oracle": [x for p in kept for x in logits[p]],
            "lse": [math.log(sum(map(math.exp, row))) for row in logits], **changes}
    return (h5(group + "@name", "text", "a case") + h5(group + "@oracle", "text", "f64")
            + b"".join(h5(f"{group}@{k}", "i64", [v]) for k, v in {
                "window": window, "chunk": chunk, "seed": 3, "sketch_seed": 64}.items())
            + h5(group + "@sketch_generator", "text", "mv_synthetic_bits, 4 x hadamard 16")
            + h5(group + "/tokens", "i32", [v % 3 for v in range(n)], [n])
            + h5(group + "/logits/positions", "i64", kept, [m])
            + h5(group + "/logits/oracle", "f64", flat["oracle"], [m, 3])
            + h5(group + "/logits/sketch", "f32", flat["sketch"], [n, 64])
            + h5(group + "/logits/top_ids", "i32", flat["top_ids"], [n, 3])
            + h5(group + "/logits/top_values", "f64", flat["top_values"], [n, 3])
            + h5(group + "/logits/lse", "f64", flat["lse"], [n]))


def golden(*parts, model=None, mode=0, n_cases=1, version="1.0", features=0):
    parts = parts if parts else (golden_case(),)
    return (bytes([mode]) + h5("/@schema", "text", "mistral-golden")
            + h5("/@schema_version", "text", version) + h5("/@required_features", "i64", [features])
            + h5("/@n_cases", "i64", [n_cases]) + (golden_model() if model is None else model)
            + h5("/provenance@made_by", "text", "a seed") + b"".join(parts))


def sealed(body, digest=None):
    digest = hashlib.sha256(body).hexdigest() if digest is None else digest
    return b"\1" + f"mistral-golden 1\nsha256 {digest}\nbytes {len(body)}\n".encode().ljust(512, b"\0") + body


def index_row(path, n=8):
    return struct.pack("<160s64sQ", path.encode("latin-1"), b"f" * 64, n)


WHOLE = golden()
GOLDENS = {
    "one_case": WHOLE,
    "two_cases": golden(golden_case(), golden_case(1, window=0, chunk=0), n_cases=2),
    "longer": golden(golden_case(chunk=3, logits=[(i, 1, -i) for i in range(5)], kept=(0, 1, 2, 3, 4))),
    "case_missing": golden(n_cases=2),
    "no_cases": golden(n_cases=0),
    "newer": golden(version="1.7"),
    "other_major": golden(version="2.0"),
    "unknown_feature": golden(features=4),
    "other_semantics": golden(model=golden_model(window_semantics="excl_self")),
    "negative_dim": golden(model=golden_model(dim=-2)),
    "large_vocabulary": golden(model=golden_model(vocab_size=2 ** 24)),
    "sketch_differs": golden(golden_case(sketch=[1.0] * 128)),
    "not_finite": golden(golden_case(oracle=[float("nan")] * 6)),
    "position_missing": golden(golden_case(kept=(0,))),
    "unknown_objects": golden(golden_case(), h5("/extra", "u8", b"abc", [3]), h5("/model@note", "text", "x"),
                              h5("/more", "f64be", bytes(32), [2, 2]), h5("/model@big", "i32be", b"\0\0\0\1")),
    "unknown_kinds": golden(golden_case(), h5("/list", "list", bytes(16), [1])),
    "unknown_empty": golden(golden_case(), h5("/none", "u8", b"", [0]), h5("/index", "index_row",
                                                                          index_row("/none", 0), [1])),
    "huge_extent": golden(golden_case(), h5("/huge", "u64", b"", [0xffffffff, 0xffffffff]),
                          h5("/index", "index_row", index_row("/huge"), [1])),
    "text_as_a_number": golden(model=h5("/model@spec", "i64", [1]) + golden_model()),
    "variable_text": golden(golden_case(), h5("/provenance@x", "variable", b"12345678")),
    "no_index_row": golden(mode=2) + h5("/index", "index_row", index_row("/@schema"), [1]),
    "row_of_nothing": golden(golden_case(), h5("/index", "index_row", index_row("/gone"), [1])),
    "row_of_no_attribute": golden(golden_case(), h5("/index", "index_row", index_row("/gone@x"), [1])),
    "row_not_printable": golden(golden_case(), h5("/index", "index_row", index_row("/\x1b[2J\n"), [1])),
    "row_of_160_bytes": golden(golden_case(), h5("/index", "index_row", index_row("/" * 159 + "@"), [1])),
    "texts_not_printable": golden(golden_case(), model=golden_model(spec="\x1b]0;\x07", window_semantics="\n")),
    "own_root": golden(mode=4) + h5("/@merkle_root", "text", "0" * 64),
    "seal_right": sealed(WHOLE[1:]),
    "seal_wrong": sealed(WHOLE[1:], "0" * 64),
    "seal_cut": sealed(WHOLE[1:])[:400],
    "seal_of_a_longer_file": sealed(WHOLE[1:])[:-9],
    "seal_without_lines": b"\1" + b"mistral-golden 1\n".ljust(512, b"x") + WHOLE[1:],
    "hdf5_without_seal": b"\1\x89HDF\r\n\x1a\n" + bytes(100),
    "empty": b"\1",
    "nothing_sealed": b"\0",
}


def main():
    saved = TORCH_SAVED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(saved)) as zipped:
        inner = [n for n in zipped.namelist() if n.endswith("/data.pkl")]
        pickles = {**PICKLES, "torch_saved": zipped.read(inner[0])}
    write("pickle", pickles)
    write("pth", {**ARCHIVES, "torch_saved": saved})
    write("safetensors", SAFETENSORS)
    write("params", PARAMS)
    write("results", RESULTS)
    write("hf", HF_FOLDERS)
    write("golden", GOLDENS)
    write("tokenizer", {**TOKENIZERS, "trained": TOKENIZER.read_bytes()})


if __name__ == "__main__":
    main()
