#!/usr/bin/env python3
"""The cuda backend beside PyTorch + Transformers on one GPU, in turns; for tools/gpu_check.sh.

Prefill is Transformers' forward with SDPA; decode is the same, compiled, in CUDA graphs
(mode="reduce-overhead"), over a static cache. Both have random bfloat16 weights of one shape: that is
enough for time, and says nothing about the numbers. In each round one goes first, then the other;
ratios are of the two in one round.

usage: gpu_peers.py BUILD [--json FILE] [--rounds N] [--layers N]
Without a GPU, --device cpu --backend blas --small shows that it works.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time

import torch
import transformers

SHAPE = {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
         "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 32000, "sliding_window": 4096}
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 256, "sliding_window": 32}
OURS = {"hidden_size": "dim", "intermediate_size": "hidden_dim", "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kv_heads"}


class Torch:
    def __init__(self, options, shape):
        self.device, self.steps = options.device, options.steps
        config = transformers.MistralConfig(
            **shape, num_hidden_layers=options.layers, rms_norm_eps=1e-5,
            max_position_embeddings=32768, tie_word_embeddings=False, attn_implementation="sdpa")
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(self.device):
            self.model = transformers.MistralForCausalLM(config).eval()
        self.model.requires_grad_(False)
        self.config = config
        self.compiled = torch.compile(self.model.forward, mode="reduce-overhead")

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def tokens(self, n):
        return torch.randint(3, self.config.vocab_size, (1, n), device=self.device)

    def prefill(self, n):
        """Seconds of n tokens from an empty cache to the last logits on the host."""
        tokens = self.tokens(n)
        self.wait()
        began = time.perf_counter()
        with torch.inference_mode():
            self.model(tokens, use_cache=True, logits_to_keep=1).logits.float().cpu()
        return time.perf_counter() - began

    def decode(self, depth):
        """Seconds of a token, the mean of some, behind `depth` tokens."""
        cache = transformers.StaticCache(config=self.config,
                                         max_cache_len=depth + self.steps + 8)
        with torch.no_grad():
            for first in range(0, depth, 2048):
                self.model(self.tokens(min(2048, depth - first)), past_key_values=cache,
                           logits_to_keep=1)
            token = self.tokens(1)
            for i in range(self.steps + 4):
                if i == 4:  # compiled and recorded
                    self.wait()
                    began = time.perf_counter()
                out = self.compiled(token, past_key_values=cache, logits_to_keep=1)
                token = out.logits[:, -1].argmax(-1, keepdim=True).clone()
                token.cpu()  # as a caller that samples must
        return (time.perf_counter() - began) / self.steps

    def close(self):
        del self.model, self.compiled
        gc.collect()
        torch.cuda.empty_cache()


def ours(options, shape, phase, n):
    """Seconds of a prefill, or of a token, as mistral-bench says."""
    changed = [f"{OURS.get(key, key)}={value}" for key, value in shape.items()] if options.small else []
    model = ",".join([f"synthetic:7b,n_layers={options.layers}", *changed])
    what = ["--prompt", str(n), "--generate", "0"]
    if phase == "decode":
        what = ["--prompt", "0", "--generate", str(options.steps), "--depth", str(n)]
    command = [f"{options.build}/tools/mistral-bench", model, "--backend", options.backend, "--compute",
               "bf16", *what, "--max-time", "2", "--format", "json", "--output", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    a_second = json.loads(done.stdout)["runs"][0]["tokens_per_s"]["median"]
    return 1 / a_second if phase == "decode" else n / a_second


def measure(options, shape):
    cases = [("prefill", n) for n in options.prompt] + [("decode", n) for n in options.depth]
    samples = []
    peer = Torch(options, shape)
    for phase, n in cases:  # compiles, and chooses kernels
        getattr(peer, phase)(n)
    for number in range(options.rounds):
        for phase, n in cases:
            pair = {"torch": lambda: getattr(peer, phase)(n),
                    "ours": lambda: ours(options, shape, phase, n)}
            for name in sorted(pair, reverse=number % 2 == 0):
                samples.append({"round": number, "phase": phase, "n": n, "who": name,
                                "seconds": pair[name]()})
                print(samples[-1], file=sys.stderr)
    peer.close()
    return cases, samples


def table(cases, samples):
    print(f"{'case':<16}{'ours, ms':>12}{'torch, ms':>12}{'ratio':>8}  min ... max")
    for phase, n in cases:
        of = {(s["round"], s["who"]): s["seconds"] for s in samples
              if s["phase"] == phase and s["n"] == n}
        numbers = sorted({number for number, _ in of})
        ratios = [of[r, "torch"] / of[r, "ours"] for r in numbers]
        own, other = (statistics.median(of[r, who] for r in numbers) for who in ("ours", "torch"))
        print(f"{phase + ' ' + str(n):<16}{own * 1e3:>12.3f}{other * 1e3:>12.3f}"
              f"{statistics.median(ratios):>8.2f}  {min(ratios):.2f} ... {max(ratios):.2f}")


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--prompt", type=numbers, default=[512, 2048, 4096])
    parser.add_argument("--depth", type=numbers, default=[16, 2048, 4096])
    parser.add_argument("--small", action="store_true", help="a few thousand weights instead of 7B")
    parser.add_argument("--json", help="file for all samples")
    options = parser.parse_args()
    cases, samples = measure(options, SMALL if options.small else SHAPE)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{torch.cuda.get_device_name() if options.device != 'cpu' else 'cpu'}")
    table(cases, samples)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            json.dump({"torch": torch.__version__, "samples": samples}, stream)


if __name__ == "__main__":
    main()
