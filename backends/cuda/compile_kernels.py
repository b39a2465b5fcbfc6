#!/usr/bin/env python3
"""Compiles one .cu file, keeps what ptxas says of each kernel, and fails where one spills registers or
uses local memory: such a kernel waits for memory that nobody sees in its text.

usage: compile_kernels.py TABLE NVCC [OPTION of nvcc]...
"""

import re
import subprocess
import sys

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def readable(names):
    """Names without C++'s mangling, where c++filt is there."""
    try:
        done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                              check=True)
    except (OSError, subprocess.CalledProcessError):
        return names
    return [re.sub(r"^void ", "", name).split("(")[0] for name in done.stdout.splitlines()]


def kernels(text):
    """[mangled name, architecture, registers, bytes of stack and spills] of each kernel."""
    found = []
    for line in text.splitlines():
        entry, frame, used = ENTRY.search(line), FRAME.search(line), USED.search(line)
        if entry:
            found.append([entry.group(1), entry.group(2), 0, 0])
        elif frame and found:
            found[-1][3] = sum(int(n) for n in frame.groups())
        elif used and found:
            found[-1][2] = int(used.group(1))
    return found


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: compile_kernels.py TABLE NVCC [OPTION]...")
    table, command = sys.argv[1], sys.argv[2:]
    done = subprocess.run([*command, "-Xptxas", "-v"], capture_output=True, text=True, check=False)
    words = done.stdout + done.stderr
    if done.returncode != 0:
        sys.stderr.write(words)
        return 1
    rows = kernels(words)
    names = readable([row[0] for row in rows])
    with open(table, "w", encoding="utf-8") as file:
        for name, row in zip(names, rows):
            file.write(f"{name}\t{row[1]}\t{row[2]}\t{row[3]}\n")
    spilling = [(name, row) for name, row in zip(names, rows) if row[3] != 0]
    for name, row in spilling:
        sys.stderr.write(f"{name} for {row[1]}: {row[3]} bytes of local memory, expected 0\n")
    if not rows:
        sys.stderr.write("ptxas named no kernel: its words have changed\n")
    return 1 if spilling or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
