#!/usr/bin/env python3
"""Honest engines against the limits, many times over: how near do they come, does one ever fail?

    python3 tests/soak/benign.py BUILD_DIR OUT.jsonl [--runs 1000] [--model SPEC]... [--jobs N]

One run is one harmless variant of the reference (backends/mutant, kind BENIGN), or an engine of our
own, on one model in one arithmetic with one seed, through the suites whose cases differ with the seed. Seeds,
variants, models and arithmetics are walked through evenly. OUT gets one line per run and is
continued if it is there. Ends with a table of the largest ratios, as docs/NUMERICS.md has it, and
with exit code 1 if any case failed. Takes two seconds for a run on synthetic:probe; not for CI.
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys

SUITES = ("golden,chunking,window,ring,decode_vs_prefill,batching,degenerate,cache_ops,fuzz,"
          "op_level,nonfinite,generation")
RATIOS = ("r_rmse", "r_row", "r_maxabs")


def variants(build):
    """Names of the harmless variants, and the engines that are not the reference."""
    definitions = pathlib.Path(__file__).parents[2] / "backends/mutant/mutants.def"
    names = re.findall(r"^MUTANT\((\w+), BENIGN", definitions.read_text(), re.M)
    found = [("mutant", ["--backend-option", "mutant=" + n], n) for n in names]
    if (build / "backends/blas/mistral_blas.so").exists():
        found += [("blas", ["--threads", str(t)], f"blas, threads {t}") for t in (1, 2)]
    return found


def plan(o):
    number = 0
    for seed in range(1, o.runs + 1):
        for backend, options, name in variants(o.build):
            for compute in ("f32", "bf16", "f64"):
                if backend == "blas" and compute == "f64":
                    continue
                for model in o.model:
                    yield dict(variant=name, compute=compute, model=model, seed=seed), backend, options
                    number += 1
                    if number == o.runs:
                        return


def run(o, key, backend, options):
    command = [str(o.build / "tools/mistral-verify"), "--suite", SUITES, "--model", key["model"],
               "--backend", backend, *options, "--compute", key["compute"], "--seed",
               str(key["seed"]), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    try:
        cases = json.loads(done.stdout)["cases"]
    except (json.JSONDecodeError, KeyError):
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    largest = {r: [0.0, ""] for r in RATIOS}
    for case in cases:
        for ratio in RATIOS:
            value = case.get("metrics", {}).get(ratio)
            if isinstance(value, (int, float)) and value > largest[ratio][0]:
                largest[ratio] = [value, case["suite"] + "/" + case["case"]]
    bad = [c["suite"] + "/" + c["case"] for c in cases if c["verdict"] in ("fail", "error")]
    return dict(key, n_cases=len(cases), failed=bad, largest=largest)


def table(lines, group):
    rows = collections.defaultdict(list)
    for line in lines:
        rows[tuple(line[g] for g in group)].append(line)
    print("| " + " | ".join(group) + " | runs | cases | false alarms | R rmse | R row | R maxabs |")
    print("|---" * (len(group) + 6) + "|")
    for key in sorted(rows):
        of = rows[key]
        print("| " + " | ".join(key) + f" | {len(of)} | {sum(x['n_cases'] for x in of)} | "
              f"{sum(len(x['failed']) for x in of)} | "
              + " | ".join(f"{max(x['largest'][r][0] for x in of):.2f}" for r in RATIOS) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--model", action="append")
    parser.add_argument("--jobs", type=int, default=1)
    o = parser.parse_args()
    o.model = o.model or ["synthetic:probe"]
    lines = [json.loads(x) for x in o.out.read_text().splitlines()] if o.out.exists() else []
    keys = ("variant", "compute", "model", "seed")
    have = {tuple(line[k] for k in keys) for line in lines}
    todo = [p for p in plan(o) if tuple(p[0][k] for k in keys) not in have]
    with o.out.open("a") as out, concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        for line in pool.map(lambda p: run(o, *p), todo):
            out.write(json.dumps(line) + "\n")
            out.flush()
            lines.append(line)
            if sys.stderr.isatty():
                print(f"\r{len(lines)}/{o.runs}", end="", file=sys.stderr)
    table(lines, ("compute", "model"))
    print()
    table(lines, ("variant", "compute"))
    for line in lines:
        for case in line["failed"]:
            print(f"FALSE ALARM {case}: {line['variant']} {line['compute']} {line['model']} seed {line['seed']}")
    sys.exit(1 if any(line["failed"] for line in lines) else 0)


if __name__ == "__main__":
    main()
