#!/usr/bin/env python3
"""What a user without a GPU gets of --backend cuda: one line that says what is missing, and 77.

usage: cuda_refusals.py MISTRAL_VERIFY MISTRAL_BENCH FOLDER_OF_STUBS|''. Prints TAP. Where there is a
GPU, or the module was built without kernels, what cannot be asked is skipped with the reason.
"""

import os
import subprocess
import sys
import tempfile

ABSENT = "this build has no CUDA kernels"


def run(program, folder=None):
    """Exit code and the lines of stderr that are errors."""
    environment = dict(os.environ)
    if folder:
        environment["LD_LIBRARY_PATH"] = folder
    done = subprocess.run([program, "--backend", "cuda", "--model", "synthetic:probe,n_layers=1"],
                          capture_output=True, text=True, check=False, timeout=120,
                          env=environment)
    return done.returncode, [line for line in done.stderr.splitlines() if "error:" in line]


def has_driver():
    """Whether the system's loader knows a driver."""
    code = "import ctypes; ctypes.CDLL('libcuda.so.1')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True,
                          check=False).returncode == 0


def refusal(program, expected, folder=None):
    """Problems with how a program refuses."""
    code, errors = run(program, folder)
    problems = [] if code == 77 else [f"exit code {code}, expected 77"]
    if len(errors) != 1 or not any(one in errors[0] for one in expected):
        problems.append(f"expected one line with one of {expected}, found {errors}")
    return problems


def tap(number, name, problems):
    for problem in problems:
        print(f"# {problem}")
    print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    return not problems


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: cuda_refusals.py MISTRAL_VERIFY MISTRAL_BENCH FOLDER_OF_STUBS")
    programs, stubs = sys.argv[1:3], sys.argv[3]
    good = True
    print("1..3")
    for number, program in enumerate(programs, 1):
        name = f"{os.path.basename(program)} --backend cuda says what is missing, and ends with 77"
        if has_driver():
            print(f"ok {number} - {name} # SKIP there is a driver here")
        else:
            good &= tap(number, name, refusal(program, [ABSENT, "no NVIDIA driver was found"]))
    name = "the toolkit's stub is not taken for a driver"
    stub = os.path.join(stubs, "libcuda.so")
    if not os.path.isfile(stub):
        print(f"ok 3 - {name} # SKIP no stub here, or no nvcc")
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(stub, os.path.join(folder, "libcuda.so.1"))
            good &= tap(3, name, refusal(programs[0], ["toolkit's stub"], folder))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
