"""hf_copy.py - a checkpoint of Mistral's layout written once more in Hugging Face's, by the standard
library alone and from the two formats' descriptions, so that it can disagree with ours."""
import json
import os
import struct

LAYER = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.wq.weight": "self_attn.q_proj.weight",
    "attention.wk.weight": "self_attn.k_proj.weight",
    "attention.wv.weight": "self_attn.v_proj.weight",
    "attention.wo.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.w1.weight": "mlp.gate_proj.weight",
    "feed_forward.w2.weight": "mlp.down_proj.weight",
    "feed_forward.w3.weight": "mlp.up_proj.weight",
}
OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}"""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (one["dtype"], one["shape"], data[slice(*one["data_offsets"])])
            for name, one in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def split_halves(tensor, head_dim):
    """Pairs (2i, 2i+1) of each head's rows become (i, i + head_dim / 2)."""
    dtype, shape, data = tensor
    row = len(data) // shape[0]
    rows = [data[i * row:(i + 1) * row] for i in range(shape[0])]
    order = []
    for head in range(0, shape[0], head_dim):
        order += list(range(head, head + head_dim, 2)) + list(range(head + 1, head + head_dim, 2))
    return dtype, shape, b"".join(rows[i] for i in order)


def write_hf(source, folder):
    with open(os.path.join(source, "params.json"), encoding="utf-8") as file:
        params = json.load(file)
    tensors = {}
    for name, tensor in read_safetensors(os.path.join(source, "consolidated.safetensors")).items():
        if name in OUTSIDE:
            tensors[OUTSIDE[name]] = tensor
            continue
        _, layer, part = name.split(".", 2)
        if part in ("attention.wq.weight", "attention.wk.weight"):
            tensor = split_halves(tensor, params["head_dim"])
        tensors[f"model.layers.{layer}.{LAYER[part]}"] = tensor
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    config = {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu",
        "hidden_size": params["dim"], "intermediate_size": params["hidden_dim"],
        "num_hidden_layers": params["n_layers"], "num_attention_heads": params["n_heads"],
        "num_key_value_heads": params["n_kv_heads"], "head_dim": params["head_dim"],
        "rms_norm_eps": params["norm_eps"], "rope_theta": params.get("rope_theta", 10000.0),
        "sliding_window": params.get("sliding_window"), "vocab_size": params["vocab_size"],
        "tie_word_embeddings": False,
    }
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
