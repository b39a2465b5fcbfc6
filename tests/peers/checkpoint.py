"""checkpoint.py - Mistral's own layout (params.json, consolidated.safetensors), as peers want it.

usage: checkpoint.py FOLDER GGUF CONTEXT    writes the GGUF
"""

import json
import os
import sys

import numpy as np


def read(folder):
    """params, and {name: array}: bf16 as uint16, mapped and not read."""
    with open(os.path.join(folder, "params.json"), encoding="utf-8") as stream:
        params = json.load(stream)
    path = os.path.join(folder, "consolidated.safetensors")
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected BF16")
        tensors[name] = np.memmap(path, np.uint16, "r", 8 + size + entry["data_offsets"][0],
                                  tuple(entry["shape"]))
    return params, tensors


def as_f32(bf16):
    return (bf16.astype(np.uint32) << 16).view(np.float32)


def halves_apart(weight, n_heads):
    """Rows of wq or wk with RoPE's pairs as Hugging Face has them: (i, i + E/2), not (2i, 2i + 1)."""
    n, k = weight.shape
    return weight.reshape(n_heads, n // n_heads // 2, 2, k).swapaxes(1, 2).reshape(n, k)


GGUF_NAMES = {"attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v",
              "attention.wo": "attn_output", "feed_forward.w1": "ffn_gate",
              "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
              "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
              "tok_embeddings": "token_embd", "norm": "output_norm", "output": "output"}


def gguf_name(name):
    words = name.removesuffix(".weight").split(".")
    if words[0] == "layers":
        return f"blk.{words[1]}.{GGUF_NAMES['.'.join(words[2:])]}.weight"
    return GGUF_NAMES[words[0]] + ".weight"


def write_gguf(folder, path, context):
    """The same weights in bf16 (norms in f32) for llama.cpp, whose RoPE for `llama` is Mistral's."""
    import gguf  # pylint: disable=import-outside-toplevel
    params, tensors = read(folder)
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_block_count(params["n_layers"])
    writer.add_context_length(context)
    writer.add_embedding_length(params["dim"])
    writer.add_feed_forward_length(params["hidden_dim"])
    writer.add_head_count(params["n_heads"])
    writer.add_head_count_kv(params["n_kv_heads"])
    writer.add_key_length(params["head_dim"])
    writer.add_value_length(params["head_dim"])
    writer.add_rope_dimension_count(params["head_dim"])
    writer.add_rope_freq_base(params.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(params["norm_eps"])
    writer.add_vocab_size(params["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for name, bits in tensors.items():
        if bits.ndim == 1:
            writer.add_tensor(gguf_name(name), as_f32(bits))
        else:
            writer.add_tensor(gguf_name(name), bits.view(np.uint8),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


HF_NAMES = {"attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj",
            "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj",
            "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
            "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
            "ffn_norm": "post_attention_layernorm"}


def hf_name(name):
    words = name.removesuffix(".weight").split(".")
    if words[0] == "layers":
        return f"model.layers.{words[1]}.{HF_NAMES['.'.join(words[2:])]}.weight"
    return {"tok_embeddings": "model.embed_tokens.weight", "norm": "model.norm.weight",
            "output": "lm_head.weight"}[words[0]]


def hf_tensors(folder):
    """params, and an iterator of (Hugging Face's name, bf16 bits)."""
    params, tensors = read(folder)

    def each():
        for name, bits in tensors.items():
            if name.endswith("wq.weight"):
                bits = halves_apart(bits, params["n_heads"])
            elif name.endswith("wk.weight"):
                bits = halves_apart(bits, params["n_kv_heads"])
            yield hf_name(name), bits
    return params, each()


if __name__ == "__main__":
    write_gguf(sys.argv[1], sys.argv[2], int(sys.argv[3]))
