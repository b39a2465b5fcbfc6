#!/usr/bin/env python3
"""convert_speed.py - mistral-model convert against cp, from every layout to every layout.

usage: convert_speed.py MISTRAL_MODEL FOLDER [--spec SPEC] [--rounds N] [--sync] [--only FROM-TO[,...]]

FOLDER is on the disk to measure, and needs room for five times the model. Both copy the same source,
which is in the page cache, into a new folder beside it; they take turns, in an order drawn by chance,
and before each the disk has written what the one before left (syncfs). Neither flushes its output, as
neither does by itself; with --sync both are followed by a syncfs within the measured time. The ratio
is of cp's time over convert's, the median of the rounds' ratios with the least and the most; CPU is
user and system time, which other jobs on the machine disturb less.
"""
import argparse
import ctypes
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

LAYOUTS = {"mistral": [], "pth": [], "hf": ["--shard-size", "500MB"]}
LIBC = ctypes.CDLL(None, use_errno=True)


def flush(folder):
    handle = os.open(folder, os.O_RDONLY)
    if LIBC.syncfs(handle) != 0:
        raise OSError(ctypes.get_errno(), "syncfs")
    os.close(handle)


def warm(folder):
    """As after a download and a reboot: read from the disk. A file that was written a moment ago lies
    in smaller pieces in memory, and is slower to map."""
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 22):
                pass


def measure(command, folder, with_flush):
    """(wall seconds, CPU seconds)"""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if with_flush:
        flush(folder)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def compare(program, folder, source, to, rounds, with_flush):
    """For each round ((cp's wall, CPU), (convert's wall, CPU))"""
    out, found = os.path.join(folder, "out"), []
    commands = [["cp", "-r", source, out],
                [program, "convert", source, "-o", out, "--to", to, "--quiet", *LAYOUTS[to]]]
    for _ in range(rounds):
        times = [None, None]
        for which in random.sample((0, 1), 2):
            shutil.rmtree(out, ignore_errors=True)
            flush(folder)
            times[which] = measure(commands[which], folder, with_flush)
        found.append(times)
    shutil.rmtree(out)
    return found


def show(name, size, found):
    texts = []
    for part in (0, 1):
        ratios = sorted(cp[part] / convert[part] for cp, convert in found)
        texts.append(f"{100 * statistics.median(ratios):4.0f} % ({100 * ratios[0]:.0f} .. "
                     f"{100 * ratios[-1]:.0f})")
    cp, convert = (size / statistics.median(times[i][0] for times in found) / 1e9 for i in (0, 1))
    print(f"| {name:18} | {cp:5.2f} | {convert:5.2f} | {texts[0]:20} | {texts[1]:20} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--spec", default="synthetic:7b,n_layers=2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sync", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    sources = {name: os.path.join(options.folder, name) for name in LAYOUTS}
    for name, source in sources.items():
        if not os.path.isdir(source):
            subprocess.run([options.program, "convert", options.spec, "-o", source, "--to", name,
                            "--quiet", *LAYOUTS[name]], check=True)
    print("| from, to | cp GB/s | convert GB/s | convert / cp | in CPU time |\n|---|---|---|---|---|")
    for name, source in sources.items():
        warm(source)
        size = sum(os.path.getsize(os.path.join(source, one)) for one in os.listdir(source))
        for to in LAYOUTS:
            if options.only == "" or f"{name}-{to}" in options.only.split(","):
                show(f"{name}, {to}", size, compare(options.program, options.folder, source, to,
                                                    options.rounds, options.sync))
    return 0


if __name__ == "__main__":
    sys.exit(main())
