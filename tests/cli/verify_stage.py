"""verify_stage.py - what the tests of mistral-verify share: the programs, how they are run, and
the list of tests, printed as TAP.

A test file calls main(), and is called as: FILE SOURCE_ROOT BUILD_ROOT.
"""
import json
import os
import shlex
import subprocess
import sys

SOURCE, BUILD = (os.path.abspath(one) for one in sys.argv[1:3])
VERIFY = os.path.join(BUILD, "tools", "mistral-verify")
MODEL_TOOL = os.path.join(BUILD, "tools", "mistral-model")
PLUGINS = os.path.join(BUILD, "tests", "plugins")
OFF_BY_ONE = os.path.join(PLUGINS, "off_by_one.so")
GOLDEN = os.path.join(SOURCE, "tests", "data", "golden_small")
MODELS = os.environ.get("MISTRAL_TEST_MODELS", os.path.join(SOURCE, "..", "shared", "models"))
STORIES = os.path.join(MODELS, "stories260k")
QUICK = ["--suite", "determinism"]
LIMIT_S = 120
TESTS = []


class Skip(Exception):
    """Why a test cannot be run here."""


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def run(*arguments, code=None, program=VERIFY, cwd=None, **variables):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False,
                          cwd=cwd, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
                          env={**os.environ, **variables})
    if code is not None:
        expect(done.returncode == code,
               f"{shlex.join(arguments)}: exit code {done.returncode}, expected {code}: "
               f"{done.stderr.strip()} {done.stdout[-300:]}")
    return done


def has(text, *fragments):
    for one in fragments:
        expect(one in text, f"expected '{one}' in: {text[-1500:]}")


def run_json(*arguments, code=0):
    return json.loads(run(*arguments, "--format", "json", code=code).stdout)


def test(function):
    TESTS.append(function)
    return function


def main():
    print(f"1..{len(TESTS)}")
    n_failed = 0
    for number, function in enumerate(TESTS, 1):
        word, note = "ok", ""
        try:
            function()
        except Skip as reason:
            note = f" # SKIP {reason}"
        except (Wrong, subprocess.TimeoutExpired, ValueError, KeyError, StopIteration) as problem:
            word = "not ok"
            n_failed += 1
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
        print(f"{word} {number} - {function.__name__.replace('_', ' ')}{note}", flush=True)
    return 1 if n_failed else 0
