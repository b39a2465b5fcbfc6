#!/usr/bin/env python3
"""Writes tokenizer_small.model: a sentencepiece tokenizer like Mistral's, small enough to keep.

    make_tokenizer.py tokenizer_small.model

BPE with byte fallback, identity normalization, a dummy prefix, split digits, as in Mistral-7B; and
two control pieces and one user-defined piece, as v0.3 has them. Needs the package sentencepiece.
"""
import io
import sys

import sentencepiece

TEXT = """\
The window counts the query itself: a token at position i sees the keys i-W+1 to i.
A chunk is how many tokens one call brings, and nothing else; the answer must not depend on it.
The cache is a ring: once it is full, the newest key takes the place of the oldest one.
Every number carries its unit, its spread and its origin, or it is not a measurement.
A test that cannot fail proves nothing, so a planted bug shows that this one can.
Two engines that share code share its mistakes; that is why the reference shares none.
The sun was over the hill, and the old miller counted his sacks: 12, 13, 14, and then 15.
"What is in the last one?" asked the child. "Flour," said the miller, "and a little time."
They walked along the river to the town, where the bells rang and the market had begun.
Nobody there had seen the red boat, but everybody had heard of it, or so they said.
It is better to measure once more than to guess; it is better to guess than to stay silent.
Ein Fluss, ein Berg, ein Haus; der Müller zählt die Säcke und die Glocken läuten.
Le moulin est près de la rivière, et l'été y est plus long qu'à la ville.
"""


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: make_tokenizer.py OUTPUT")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        character_coverage=0.99,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        control_symbols=["[INST]", "[/INST]"],
        user_defined_symbols=["[DOC_1]"],
        num_threads=1,
        minloglevel=2,
    )
    with open(sys.argv[1], "wb") as file:
        file.write(model.getvalue())


if __name__ == "__main__":
    main()
