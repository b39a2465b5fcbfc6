#!/usr/bin/env python3
"""mistral-golden and `mistral-verify --suite golden`: exit codes, and what is said.

usage: check_golden.py MISTRAL_GOLDEN MISTRAL_VERIFY golden_small/params.json. Prints TAP.
"""

import os
import subprocess
import sys
import tempfile

GOLDEN, VERIFY = (os.path.abspath(path) for path in sys.argv[1:3])
SMALL = os.path.dirname(os.path.abspath(sys.argv[3]))
TINY = "synthetic:probe,dim=16,n_layers=1,hidden_dim=20,vocab_size=67"

results = []


def check(name, command, code, *said):
    """command ends with code, and each of said is on stdout or stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    text = done.stdout + done.stderr
    problems = [f"exit code {done.returncode}, expected {code}"] if done.returncode != code else []
    problems += [f"not said: {words}" for words in said if words not in text]
    if problems:
        for line in [*problems, *text.splitlines()[:10]]:
            print(f"# {line}")
    results.append(not problems)
    print(f"{'ok' if not problems else 'not ok'} {len(results)} - {name}", flush=True)


def golden(*words):
    return [GOLDEN, *words]


def verify(model, *words):
    return [VERIFY, "--suite", "golden", "--model", model, "--threads", "2", *words]


def flip(path, to, at):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[at] ^= 1
    with open(to, "wb") as file:
        file.write(data)


def files(folder):
    a, b, c, bad = (os.path.join(folder, name) for name in ("a.h5", "b.h5", "c.h5", "bad.h5"))
    record = ["record", "--model", TINY, "--window", "8,0", "--length", "40"]
    check("records", golden(*record, "--positions", "W+3,20", "-o", a), 0)
    check("shows what is in a file", golden("info", a), 0, "window 8", "vocab_size 67", "0 7 8 9 11")
    check("checks a file", golden("check", a), 0, "a.h5: good: 2 cases")
    check("checks a file and its model", golden("check", a, "--model", TINY), 0, "of this model")
    check("refuses another model's file", golden("check", a, "--model", f"{TINY},seed=2"), 3,
          "/model/weights", "another model")
    check("records another seed", golden(*record, "--seed", "2", "-o", b), 0)
    check("tells different tokens", golden("diff", a, b), 1, "/cases/0000/tokens")
    check("trims", golden("trim", a, "-o", c, "--positions", "20"), 0)
    check("tells fewer rows", golden("diff", a, c), 1, "/cases/0000/logits/positions")
    check("tells no difference from itself", golden("diff", a, a), 0, "same")
    check("cannot trim to a row that is not there",
          golden("trim", c, "-o", b, "--positions", "30"), 2, "position 30")
    flip(a, bad, 5000)
    check("finds a flipped bit, and looks at every file", golden("check", a, bad, c), 3,
          "bad.h5: ", "a.h5: good", "c.h5: good")
    check("finds a file that is not there", golden("info", os.path.join(folder, "no")), 3, "no: ")
    check("wants a command", golden("chekc", a), 2, "did you mean check?")
    check("wants a name for the file", golden(*record), 2, "--output")
    check("wants a model", golden("record", "-o", b), 2, "--model")
    check("wants a good list", golden(*record, "-o", b, "--window", "x"), 2, "--window")
    check("refuses an unknown format", golden("info", a, "--format", "json"), 2, "--format")

    check("passes on the model of the file", verify(TINY, "--golden", a), 0, "4/4")
    check("passes in bf16", verify(TINY, "--golden", a, "--compute", "bf16"), 0)
    check("stops at another model's file", verify(f"{TINY},seed=3", "--golden", a), 3, "a.h5: /model")
    check("stops at another vocabulary", verify(f"{TINY},vocab_size=68", "--golden", a), 3,
          "/model@vocab_size")
    check("stops at a damaged file", verify(TINY, "--golden", bad), 3, "bad.h5")
    check("fails an engine without arithmetic", verify(TINY, "--golden", a, "--backend", "null"), 1)
    check("takes the windows asked for", verify(TINY, "--golden", a, "--window", "8"), 0, "2/2")
    check("shows nothing where no window fits", verify(TINY, "--golden", a, "--window", "5"), 5)


def shipped():
    for model in ("synthetic:probe", SMALL):
        for compute in ("f32", "f64"):
            check(f"{os.path.basename(model)} in {compute} is what Transformers gives",
                  verify(model, "--compute", compute), 0, "6/6")
    check("skips a model that nobody recorded", verify(TINY), 77, "no golden of this model")


def main():
    with tempfile.TemporaryDirectory() as folder:
        files(folder)
    shipped()
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
