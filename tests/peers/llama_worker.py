"""llama_worker.py - llama.cpp through llama-cpp-python's low-level interface, for compare.py.

usage: llama_worker.py GGUF THREADS LANES POSITIONS CALL auto|on|off
Each lane is a context of its own, so that attention sees nothing of the other. The cache is f16, as
llama.cpp has it unless told otherwise. auto|on|off: flash attention.
"""

import sys

import llama_cpp
import numpy as np

import worker


class Llama(worker.Worker):
    def __init__(self, path, threads, lanes, positions, call, flash):
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        super().__init__(llama_cpp.llama_vocab_n_tokens(vocab), lanes, call)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_seq_max = positions, call, 1
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[flash]
        self.contexts = [llama_cpp.llama_init_from_model(self.model, params) for _ in range(lanes)]
        if not all(self.contexts):
            sys.exit("llama.cpp cannot make a context")
        self.facts = {"n_ubatch": params.n_ubatch}

    def run(self, lane, tokens, want_logits):
        context = self.contexts[lane]
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)  # a batch only points to them
        code = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(ids, len(tokens)))
        if code != 0:
            sys.exit(f"llama_decode of {len(tokens)} tokens returned {code}")
        llama_cpp.llama_synchronize(context)
        if want_logits:
            row = llama_cpp.llama_get_logits_ith(context, -1)
            self.row = np.ctypeslib.as_array(row, (self.vocab_size,)).copy()

    def cut(self, lane, n):
        memory = llama_cpp.llama_get_memory(self.contexts[lane])
        llama_cpp.llama_memory_seq_rm(memory, 0, n, -1)


def main():
    path, threads, lanes, positions, call, flash = sys.argv[1:7]
    peer = Llama(path, int(threads), int(lanes), int(positions), int(call), flash)
    system = llama_cpp.llama_print_system_info().decode()
    peer.serve({"version": "llama-cpp-python " + llama_cpp.__version__,
                "compute": "bf16 weights", "cache": "f16", "flash_attention": flash,
                "system": system, **peer.facts})


if __name__ == "__main__":
    main()
