#!/usr/bin/env python3
"""Writes the seed corpora under corpus/: small, valid files and near misses, one feature each.

    python3 tests/fuzz/make_corpus.py

Needs nothing but Python: the pickles are put together by hand, as the C tests do it. Overwrites its
own files and leaves others (inputs that once broke something: found-*) alone.
"""
import io
import json
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
    write("tokenizer", {**TOKENIZERS, "trained": TOKENIZER.read_bytes()})


if __name__ == "__main__":
    main()
