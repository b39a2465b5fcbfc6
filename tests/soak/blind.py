#!/usr/bin/env python3
"""Who checks the checker? Takes one check at a time out of a suite; the self-test must notice.

    python3 tests/soak/blind.py WORK_DIR [--only NAME] [--first NUMBER]

Each row below is one check: the file it is in, the text that makes it, and what stands there when it
is gone. The source is copied to WORK_DIR, built, and `mistral-verify --self-test --suite ...` is run:
green with all checks, and it must fail with any of them missing. A row that stays green is a check
that no planted bug needs. For developers; about half a minute a row.

Not in the list: the token rules of `generation`. The engine's choice is made here, from rows that are
judged, so these rules say what a wrong row does to the text and never decide alone.
"""
import argparse
import pathlib
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
    ("what is not finite", "harness/tolerance.c", "least = isnan(observed[i]) ? NAN : room;",
     "least = isnan(observed[i]) ? INFINITY : room;", "nonfinite"),
    ("bits that do not repeat", "suites/judge.c", "if (column < 0)",
     "if (column < 0 || claim == MV_CLAIM_REPEATABLE)", "determinism"),
    ("bits that hang on the chunks", "suites/judge.c", "if (column < 0)",
     "if (column < 0 || claim == MV_CLAIM_CHUNK_INVARIANT)", "chunking"),
    ("bits that hang on the batch", "suites/judge.c", "if (column < 0)",
     "if (column < 0 || claim == MV_CLAIM_BATCH_INVARIANT)", "batching"),
    ("bits that hang on the threads", "suites/judge.c", "if (column < 0)",
     "if (column < 0 || claim == MV_CLAIM_THREAD_INVARIANT)", "determinism"),
]
# golden's four gates; and families of cases, each of which some planted bug asks for by name.
CHECKS += [(f"golden's gate on {what}", "suites/golden.c", f'{{"{what}", offsetof(evidence, {field}), {limits}}}',
            f'{{"{what}", offsetof(evidence, {field}), INFINITY, INFINITY, INFINITY}}', "golden")
           for what, field, limits in (("the kept rows", "rows", "1.0, 2.0, 1.0"),
                                       ("the sketches of all rows", "sketch", "1.2, 3.0, 1.5"),
                                       ("the largest logits of all rows", "top", "1.2, 4.0, 1.5"),
                                       ("the log-sum-exp of all rows", "lse", "2.0, INFINITY, 3.0"))]
CHECKS += [
    ("the probe of the window", "suites/window.c", "mv_code code = run_probes(run, error);",
     "mv_code code = MV_OK;\n    (void)run_probes;", "window"),
    ("stale slots in the ring", "suites/ring.c", '{", stale slots", true, 0}',
     '{", stale slots", false, 0}', "ring"),
    ("a sequence that is not the first", "suites/ring.c", '{", third sequence", false, 2}',
     '{", third sequence", false, 0}', "ring"),
    ("truncations to be refused", "suites/cache_ops.c",
     "return code == MV_OK ? run_refusals(run, W, error) : code;",
     "(void)run_refusals;\n    return code;", "cache_ops"),
    ("neighbours that are poisoned", "suites/nonfinite.c", "        add_neighbours(schedule);",
     "        (void)add_neighbours;", "nonfinite"),
    ("activations that are tiny", "suites/op_level.c", '"tiny activations", 0, 0x1p-9f',
     '"tiny activations", 0, 1.0f', "op_level"),
    ("activations that are huge", "suites/op_level.c", '"huge activations", 0, 0x1p9f',
     '"huge activations", 0, 1.0f', "op_level"),
    ("scores that are huge", "suites/op_level.c", '"huge scores", 1, 0x1p6f',
     '"huge scores", 1, 1.0f', "op_level"),
    ("scores that are equal", "suites/op_level.c", '"uniform attention", 1, 0.0f',
     '"uniform attention", 1, 1.0f', "op_level"),
    ("gates that are saturated", "suites/op_level.c", '"saturated gate", 2, 0x1p6f',
     '"saturated gate", 2, 1.0f', "op_level"),
    ("scores that rise", "suites/op_level.c", "{{520, 1}}", "{{520, 0}}", "op_level"),
    ("scores that fall", "suites/op_level.c", "{{5, 1}}", "{{5, 0}}", "op_level"),
    ("scores that rise again and again", "suites/op_level.c", "{{70, 1}, {140, 2}, {303, 3}}",
     "{{70, 0}, {140, 0}, {303, 0}}", "op_level"),
    ("scores that are all far below 0", "suites/op_level.c", "312, 0, true,", "312, 0, false,", "op_level"),
    ("bits that change once in a while", "suites/determinism.c", "if (time > 1 && ",
     "if (time > 1 || ", "determinism"),
    ("a probe of an engine that does not repeat itself", "suites/window.c", "if (finding->noisy >= 0)",
     "if (finding->noisy >= INT64_MAX)", "window"),
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
    parser.add_argument("--only", help="rows with this in their name")
    parser.add_argument("--first", type=int, default=0, help="number of the first row, from 0")
    o = parser.parse_args()
    tree, folder = o.work / "tree", o.work / "build"
    for file in sh("git", "ls-files", cwd=SOURCE).stdout.splitlines():
        there, text = tree / file, (SOURCE / file).read_bytes()
        if not there.exists() or there.read_bytes() != text:  # a new time for what an earlier run changed
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(text)
            there.chmod((SOURCE / file).stat().st_mode)
    if not (folder / "build.ninja").exists():
        sh("meson", "setup", str(folder), str(tree), "-Dtests=disabled")
    build(tree, folder)
    n_blind = 0
    green = set()
    for name, file, text, without, suites in CHECKS[o.first:]:
        if o.only is not None and o.only not in name:
            continue
        build(tree, folder)  # without what the row before took out
        if suites not in green:
            whole = self_test(folder, suites)
            if whole.returncode != 0:
                raise SystemExit(f"{suites}: fails with all checks: {whole.stdout[-800:]}")
            green.add(suites)
        path = tree / file
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
