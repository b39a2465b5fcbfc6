#!/usr/bin/env python3
"""Greedy continuations from Hugging Face Transformers: what mistral-run demo must print, too.

    mistral-model convert PATH/stories260k -o HF_DIR --to hf
    python3 golden/external/make_greedy.py HF_DIR --output tests/data/stories260k_greedy.json

float32, eager attention, no </s>: the ids are those of 60 steps of argmax. "margin" is the smallest
distance between the best and the second best logit on the way: far above float32's noise, so that
another implementation has no excuse.
"""
import argparse
import json
import pathlib
import re

import sentencepiece
import torch
import transformers

PROMPTS = ["Once upon a time", "This is a test", "Lily and Tom went to the big park"]


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--output", required=True)
    o = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(o.model / "tokenizer.model"))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        o.model, dtype=torch.float32, attn_implementation="eager")
    torch.set_num_threads(1)
    cases = []
    for prompt in PROMPTS:
        ids = [1, *tokenizer.encode(prompt)]
        n_prompt, margin, log_probs = len(ids), float("inf"), []
        for _ in range(o.steps):  # all of it again each time: no cache to get wrong
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
            best = logits.topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            ids.append(int(best.indices[0]))
            log_probs.append(round(float(logits.double().log_softmax(-1)[ids[-1]]), 6))
        cases.append({"prompt": prompt, "prompt_tokens": ids[:n_prompt], "tokens": ids[n_prompt:],
                      "log_probs": log_probs, "margin": round(margin, 6)})
    golden = {
        "made_by": f"golden/external/make_greedy.py --steps {o.steps}",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sentencepiece": sentencepiece.__version__,
        "cases": cases,
    }
    text = json.dumps(golden, indent=1)
    text = re.sub(r"\[\s+([-0-9.e,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    pathlib.Path(o.output).write_text(text + "\n")


if __name__ == "__main__":
    main()
