#!/usr/bin/env python3
"""Writes a small .pth with the real torch.save (any torch since 1.13): see README.md.

    python3 make_torch_save_small.py torch_save_small.pth
"""
import collections
import sys

import torch

plain = (torch.arange(15, dtype=torch.float32) / 8 - 1).view(3, 5)
counts = -torch.arange(1, 9)
state = collections.OrderedDict([
    ("plain", plain),
    ("transposed", plain.t()),
    ("shared", plain.view(-1)[4:8]),
    ("bf16", counts.to(torch.bfloat16).view(2, 4)),
    ("f16", counts.to(torch.float16)),
    ("n\u00e9.row", (torch.arange(7, dtype=torch.float32) ** 2).view(1, 7)),
])
state._metadata = collections.OrderedDict([("", {"version": 1})])  # as nn.Module.state_dict() has
torch.save(state, sys.argv[1])
