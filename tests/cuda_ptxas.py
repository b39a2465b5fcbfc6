#!/usr/bin/env python3
"""What nvcc made of the kernels: no spills, no local memory, and registers for the blocks a processor
that they were written for (gemv for few rows: 4 of 256 threads; attention: 2).

usage: cuda_ptxas.py TABLE... (backends/cuda/compile_kernels.py). Prints the tables. Without any: 77.
"""

import sys

REGISTERS = 65536  # of a processor
# kernel: threads and blocks a processor
PLANNED = {
    "gemv_kernel<mv_bf16, 1": (256, 4),
    "gemv_kernel<mv_bf16, 2": (256, 4),
    "gemv_kernel<mv_bf16, 8": (256, 2),
    "attend_few_kernel<mv_bf16": (256, 2),
    "attend_mma_kernel": (128, 2),
}


def problems_of(name, architecture, registers, local):
    if local != 0:
        yield f"{name} for {architecture}: {local} bytes of local memory"
    for prefix, (threads, blocks) in PLANNED.items():
        rounded = (registers + 7) // 8 * 8
        if name.startswith(prefix) and rounded * threads * blocks > REGISTERS:
            yield (f"{name} for {architecture}: {registers} registers, too many for {blocks} "
                   f"blocks of {threads} threads")


def main():
    if len(sys.argv) < 2:
        print("skipped: built without nvcc")
        return 77
    problems, seen = [], set()
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name, architecture, registers, local = line.rstrip("\n").split("\t")
                print(f"{name:40} {architecture:8} {registers:>4} registers")
                problems += problems_of(name, architecture, int(registers), int(local))
                seen |= {prefix for prefix in PLANNED if name.startswith(prefix)}
    problems += [f"no kernel {prefix}" for prefix in PLANNED if prefix not in seen]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
