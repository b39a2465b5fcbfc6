#!/usr/bin/env python3
"""Who checks the checker? Takes one check at a time out of a suite; the self-test must notice.

    python3 tests/soak/blind.py WORK_DIR [--only NAME]

Each row below is one check: the file it is in, the text that makes it, and what stands there when it
is gone. The source is copied to WORK_DIR, built, and `mistral-verify --self-test --suite ...` is run:
green with all checks, and it must fail with any of them missing. A row that stays green is a check
that no planted bug needs. For developers; about half a minute a row.

Not in the list: the four gates of `golden` one by one, and the token rule of `generation`. They overlap
with others on purpose (what one sees, the rows of another see, too), and differ in what they can name.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parents[2]

# name, file, text, without it, suites that must notice
CHECKS = [
    ("the ratio r_rmse", "harness/tolerance.c", "double room = limits[i] / observed[i];",
     "double room = i == 0 ? INFINITY : limits[i] / observed[i];", "chunking"),
    ("the ratio r_row", "harness/tolerance.c", "double room = limits[i] / observed[i];",
     "double room = i == 1 ? INFINITY : limits[i] / observed[i];", "chunking"),
    ("the ratio r_maxabs", "harness/tolerance.c", "double room = limits[i] / observed[i];",
     "double room = i == 2 ? INFINITY : limits[i] / observed[i];", "chunking"),
    ("what was written before the logits", "suites/canary.c", "if (before >= 0)",
     "if (before >= 0 && GUARD < 0)", "canary"),
    ("what was written behind the logits", "suites/canary.c", "if (after >= 0)",
     "if (after >= 0 && GUARD < 0)", "canary"),
    ("what was not written", "suites/canary.c", "if (blank >= 0)", "if (blank >= 0 && GUARD < 0)",
     "canary"),
    ("the tokens that were lent", "suites/canary.c", "if (memcmp(copy, tokens, n * sizeof *copy) != 0)",
     "if (memcmp(copy, tokens, n * sizeof *copy) != 0 && GUARD < 0)", "canary"),
    ("later tokens that are seen", "suites/window.c", "if (finding->leak >= 0)",
     "if (finding->leak >= INT64_MAX)", "window"),
    ("the effective window", "suites/window.c", "else if (finding->window != result->window)",
     "else if (finding->window < -9)", "window"),
    ("a key inside the window that is not seen", "suites/window.c", "else if (finding->gap >= 0)",
     "else if (finding->gap >= INT64_MAX)", "window"),
    ("which key head a query head reads", "suites/gqa_map.c", "if (found == expected)",
     "if (found >= -9 || found == expected)", "gqa_map"),
    ("the distance to a golden", "suites/golden.c", "fail_gate(result, gate, one, yardstick, e, room, decides);",
     "(void)fail_gate;", "golden"),
    ("a token that is another in a batch", "suites/greedy.c",
     "if (gap <= noise_of(run, truth, i))", "if (gap >= 0)", "generation"),
]


def sh(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def build(tree, folder):
    done = sh("ninja", "-C", str(folder), "tools/mistral-verify",
              "backends/mutant/mistral_mutant.so", "backends/reference/mistral_reference.so")
    if done.returncode != 0:
        raise SystemExit(f"{tree} does not build:\n{done.stdout[-2000:]}")


def self_test(folder, suites):
    return sh(str(folder / "tools/mistral-verify"), "--self-test", "--suite", suites, "--quiet")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--only")
    o = parser.parse_args()
    tree, folder = o.work / "tree", o.work / "build"
    if tree.exists():
        shutil.rmtree(tree)
    files = sh("git", "ls-files", cwd=SOURCE).stdout.splitlines()
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / file, tree / file)
    if not (folder / "build.ninja").exists():
        sh("meson", "setup", str(folder), str(tree), "-Dtests=disabled")
    build(tree, folder)
    n_blind = 0
    green = set()
    for name, file, text, without, suites in CHECKS:
        if o.only is not None and o.only not in name:
            continue
        if suites not in green:
            whole = self_test(folder, suites)
            if whole.returncode != 0:
                raise SystemExit(f"{suites}: fails with all checks: {whole.stdout[-800:]}")
            green.add(suites)
        path = tree / file
        build(tree, folder)
        before = path.read_text()
        if before.count(text) != 1:
            raise SystemExit(f"{file}: expected '{text}' once, found it {before.count(text)} times")
        path.write_text(before.replace(text, without))
        build(tree, folder)
        seen = self_test(folder, suites).returncode == 1
        path.write_text(before)
        n_blind += not seen
        print(f"{'noticed' if seen else 'NOT NOTICED':12} without {name} ({file}; {suites})", flush=True)
    return 1 if n_blind else 0


if __name__ == "__main__":
    sys.exit(main())
