#!/usr/bin/env python3
"""The blas backend beside llama.cpp and PyTorch + Transformers, on this machine, in one run.

    ninja -C BUILD tests/peers/engine_worker tools/mistral-model backends/blas/mistral_blas.so
    tests/peers/compare.py BUILD --work DIR --python-llama VENV/bin/python --python-torch ...

For developers: nothing of the project needs it, and no test runs it. The peers come from PyPI, each
into a venv (the same one will do): CMAKE_ARGS=-DGGML_NATIVE=ON pip install llama-cpp-python gguf
numpy; pip install torch transformers numpy. One that is not there is left out, and the output says
why.

All read the same weights: `mistral-model synth` writes 7B's shapes with --layers layers to --work,
checkpoint.py makes a GGUF (bf16) of them. Each arm is one process that keeps its model; the same 64
tokens go to all, and whose logits point elsewhere than ours is not measured (exit code 1). Then come
rounds: cases in random order, and in each case the arms in random order. A ratio is the peer's time
over ours in the same round; the table has their median and range, by the clock and by processor
time (of all threads, so waiting in a spin counts), against the fastest way of each peer. A sample
also says how many cores others used meanwhile. An arm whose prefill of 64 tokens takes --too-slow
times the fastest's is not measured in prefill and at depth.

What a peer leaves out counts for it: in the last layer llama.cpp takes only the tokens whose logits
are wanted through the feed-forward half, 2 % of the work of 32 layers, a fifth of that of 4, and four
fifths of that of 1. GF/s are of the whole model's operations.

Ours keeps a rolling cache of W positions, which cannot be cut back: at depth it goes on where it
is, 512 tokens further each time, which is the same work. llama.cpp sees all positions: it has no
window for this model.
"""

import argparse
import array
import dataclasses
import json
import math
import os
import platform
import random
import sys
import tempfile
import time

import arms as peers
import table


@dataclasses.dataclass
class Case:
    name: str
    lane: int
    depth: int
    n: int          # tokens of a prefill
    steps: int = 0  # tokens of a decode, one by one
    goals: dict = dataclasses.field(default_factory=dict)  # {peer: least ratio}, of the project
    against: str = ""  # ours alone, compared with itself at that case
    goal: float = 0.0


def cases_of(options):
    return [
        Case("prefill 512", 0, 0, 512, goals={"llama.cpp": 1.45, "PyTorch": 1.15}),
        Case("prefill 2048", 0, 0, 2048, goals={"llama.cpp": 1.45, "PyTorch": 1.35}),
        Case("512 at 4096", 2, 4096, 512, goals={"llama.cpp": 1.8, "PyTorch": 1.5}),
        Case("decode at 32", 1, 32, 0, options.steps, {"llama.cpp": 1.05, "PyTorch": 1.5}),
        Case("decode at 4096", 2, 4096, 0, options.steps, {"llama.cpp": 1.05, "PyTorch": 1.5}),
        *([] if not options.deep else [
            Case(f"512 at {options.deep}", 3, options.deep, 512, against="512 at 4096", goal=1.0),
            Case(f"decode at {options.deep}", 3, options.deep, 0, options.steps,
                 against="decode at 4096", goal=0.97)])]


def runs(case, arm):
    """Whether this arm measures this case."""
    if case.against and arm.peer:
        return False
    return arm.too_slow is None or (case.steps > 0 and case.depth < 1024)


# ---- before the rounds ----

def logits_of(arm, folder):
    path = os.path.join(folder, "logits")
    arm.ask("logits", path)
    with open(path, "rb") as stream:
        return array.array("f", stream.read())


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def check(arms, options):
    """The same tokens to all: who disagrees, and who is too slow. Ours is first."""
    disagree, taken, truth = {}, {}, None
    with tempfile.TemporaryDirectory() as folder:
        for arm in arms:
            arm.ask("time", 0, 2)
            arm.ask("reset", 0)
            taken[arm.name] = arm.ask("time", 0, 64)["ns"]
            row = logits_of(arm, folder)
            truth = truth or row
            arm.facts["cosine"] = round(cosine(row, truth), 6)
            if not arm.facts["cosine"] >= 0.99:
                disagree[arm.name] = f"logits point elsewhere: cosine {arm.facts['cosine']}"
            arm.ask("reset", 0)
    best = min(taken.values())
    for arm in arms:
        if taken[arm.name] > options.too_slow * best:
            arm.too_slow = (f"64 tokens take {taken[arm.name] / 1e9:.2f} s, the fastest "
                            f"{best / 1e9:.2f}: no prefill, nothing at depth")
    return disagree


def fill(arms, cases):
    for lane, depth in sorted({(case.lane, case.depth) for case in cases if case.depth > 0}):
        for arm in arms:
            if any(runs(case, arm) for case in cases if case.lane == lane):
                print(f"filling {arm.name} to {depth}", file=sys.stderr)
                arm.ask("fill", lane, depth)


# ---- the rounds ----

def busy_seconds():
    """Processor time of the whole machine so far; what a hypervisor takes is not in it."""
    with open("/proc/stat", encoding="ascii") as stream:
        user, nice, system, _, _, irq, soft = map(int, stream.readline().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def measure(arm, case):
    arm.ask(*(("reset", case.lane) if case.depth == 0 else ("back", case.lane, case.depth)))
    busy, wall = busy_seconds(), time.monotonic()
    if case.steps > 0:
        arm.ask("time", case.lane, 1)  # the caches, and whoever sleeps
        answers = [arm.ask("time", case.lane, 1) for _ in range(case.steps)]
    else:
        answers = [arm.ask("time", case.lane, case.n)]
    wall, busy = time.monotonic() - wall, busy_seconds() - busy
    own = sum(answer["cpu_ns"] for answer in answers) / 1e9
    middle = sorted(answers, key=lambda answer: answer["ns"])[len(answers) // 2]
    return {"case": case.name, "arm": arm.name, "ns": middle["ns"], "cpu_ns": middle["cpu_ns"],
            "from": middle["from"], "foreign_cores": round(max(0.0, (busy - own) / wall), 2),
            "load": os.getloadavg()[0], "at": round(time.time(), 1)}


def one_round(number, arms, cases):
    samples = []
    for case in random.sample(cases, len(cases)):
        for arm in random.sample(arms, len(arms)):
            if runs(case, arm):
                samples.append(dict(measure(arm, case), round=number))
                print(f"round {number}  {case.name:16}{arm.name:18}"
                      f"{samples[-1]['ns'] / 1e6:10.1f} ms", file=sys.stderr)
    return samples


# ---- what comes out ----

def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def write(path, text):
    with open(path + ".part", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(path + ".part", path)


def notes(arms, skipped, samples):
    for arm in arms:
        facts = ", ".join(f"{key} {value}" for key, value in arm.facts.items())
        yield f"{arm.name}: {facts}" + (f"; {arm.too_slow}" if arm.too_slow else "")
    for name, why in skipped.items():
        yield f"{name}: skipped: {why}"
    foreign = sorted(sample["foreign_cores"] for sample in samples)
    loads = sorted(sample["load"] for sample in samples)
    yield (f"{cpu_model()}; others used {foreign[len(foreign) // 2]} cores (median; most "
           f"{foreign[-1]}); load average {loads[0]:.1f} ... {loads[-1]:.1f}")


def report(options, arms, skipped, samples, cases):
    with open(os.path.join(options.work, f"7b-{options.layers}", "params.json"),
              encoding="utf-8") as stream:
        params = json.load(stream)
    rows = table.rows_of(samples, cases, arms, params)
    said = list(notes(arms, skipped, samples))
    if options.json:
        write(options.json, json.dumps({
            "layers": options.layers, "threads": options.threads, "machine": cpu_model(),
            "arms": {arm.name: arm.facts for arm in arms}, "skipped": skipped,
            "too_slow": {arm.name: arm.too_slow for arm in arms if arm.too_slow},
            "ceilings": options.ceilings, "samples": samples}, indent=1) + "\n")
    if options.markdown:
        write(options.markdown, table.markdown(rows) + "\n" +
              "".join(f"- {line}\n" for line in said))
    return table.text(rows) + "\n" + "\n".join(said) + "\n"


def read_options():
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("build", help="folder of the build")
    parser.add_argument("--work", required=True, help="folder for the models: 4.6 GB for 4 layers")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="tokens of a decode")
    parser.add_argument("--deep", type=int, default=16384, help="depth for ours alone; 0: none")
    parser.add_argument("--arms", action="append", help="only these (repeatable): "
                        + ", ".join(row[0] for row in peers.ROWS))
    parser.add_argument("--cases", action="append", help="only these (repeatable)")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE for our engine")
    parser.add_argument("--too-slow", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one answer")
    parser.add_argument("--seed", type=int, help="of the order")
    parser.add_argument("--python-llama", default=sys.executable)
    parser.add_argument("--python-torch", default=sys.executable)
    parser.add_argument("--json", help="file for all samples")
    parser.add_argument("--markdown", help="file for the table")
    return parser.parse_args()


def main():
    options = read_options()
    os.makedirs(options.work, exist_ok=True)
    random.seed(options.seed)
    cases = [case for case in cases_of(options) if not options.cases or case.name in options.cases]
    arms, skipped = peers.start_all(options)
    if not cases or not any(arm.peer == "" for arm in arms):
        sys.exit(f"nothing to compare: {skipped or 'no such case'}")
    disagree = check(arms, options)
    skipped.update(disagree)
    for arm in [arm for arm in arms if arm.name in disagree]:
        arm.stop()
    arms = [arm for arm in arms if arm.name not in disagree]
    options.ceilings = next(arm for arm in arms if not arm.peer).ask("ceilings", 0)
    fill(arms, cases)
    samples = []
    for number in range(options.rounds):
        samples += one_round(number, arms, cases)
        text = report(options, arms, skipped, samples, cases)  # what there is, if it is stopped
    print(text, end="")
    for arm in arms:
        arm.stop()
    return 1 if disagree else 0


if __name__ == "__main__":
    sys.exit(main())
