"""torch_worker.py - Transformers' MistralForCausalLM on PyTorch's CPU, with SDPA, for compare.py.

usage: torch_worker.py MODEL_FOLDER bf16|f32 THREADS LANES CALL
The cache is Transformers' own for a sliding window. What a lane held when `back` must return to it
is copied at the last `fill`, outside of any timing.
"""

import copy
import sys

import numpy as np
import torch
import transformers

import checkpoint
import worker


def load(folder, dtype):
    params, tensors = checkpoint.hf_tensors(folder)
    config = transformers.MistralConfig(
        vocab_size=params["vocab_size"], hidden_size=params["dim"],
        intermediate_size=params["hidden_dim"], num_hidden_layers=params["n_layers"],
        num_attention_heads=params["n_heads"], num_key_value_heads=params["n_kv_heads"],
        head_dim=params["head_dim"], rms_norm_eps=params["norm_eps"],
        sliding_window=params.get("sliding_window") or None, max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": params.get("rope_theta", 1e4)},
        tie_word_embeddings=False, attn_implementation="sdpa")
    with torch.device("meta"):
        model = transformers.MistralForCausalLM(config)
    state = {name: torch.from_numpy(np.ascontiguousarray(bits).view(np.int16))
                        .view(torch.bfloat16).to(dtype) for name, bits in tensors}
    model.load_state_dict(state, assign=True, strict=True)
    # What is not in a checkpoint was left on the meta device: the angles of RoPE.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()


class Transformers(worker.Worker):
    def __init__(self, folder, dtype, lanes, call):
        self.model = load(folder, dtype)
        super().__init__(self.model.config.vocab_size, lanes, call)
        self.caches, self.kept = [None] * lanes, [None] * lanes

    def run(self, lane, tokens, want_logits):
        with torch.inference_mode():
            out = self.model(torch.tensor([tokens]), past_key_values=self.caches[lane],
                             use_cache=True, logits_to_keep=1)
        self.caches[lane] = out.past_key_values
        if want_logits:
            self.row = out.logits[0, -1].float().numpy()

    def obey(self, words):
        answer = super().obey(words)
        if words[0] == "fill":
            lane = int(words[1])
            self.kept[lane] = self.depth[lane], copy.deepcopy(self.caches[lane])
        return answer

    def cut(self, lane, n):
        if n == 0:
            self.caches[lane] = None
        else:
            depth, cache = self.kept[lane]
            if depth != n:
                sys.exit(f"back to {n}, but the last fill ended at {depth}")
            self.caches[lane] = copy.deepcopy(cache)


def main():
    folder, compute, threads, lanes, call = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    peer = Transformers(folder, {"bf16": torch.bfloat16, "f32": torch.float32}[compute],
                        int(lanes), int(call))
    peer.serve({"version": f"torch {torch.__version__}, transformers {transformers.__version__}",
                "compute": compute, "attention": "sdpa", "threads": torch.get_num_threads(),
                "cpu_capability": torch.backends.cpu.get_cpu_capability()})


if __name__ == "__main__":
    main()
