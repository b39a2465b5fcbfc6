"""arms.py - the programs that compare.py sets side by side: one process each, one row each here."""

import json
import os
import select
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CALL = 2048      # tokens in a call at most
POSITIONS = 8192  # of a peer's lane

PIP_LLAMA = "CMAKE_ARGS=-DGGML_NATIVE=ON pip install llama-cpp-python gguf numpy"
PIP_TORCH = "pip install torch transformers numpy"


class Gone(Exception):
    """A worker ended, or did not answer."""


class Arm:
    """A worker and what is known of it. ask() is one command and its answer."""

    def __init__(self, name, peer, command, timeout):
        self.name, self.peer, self.timeout = name, peer, timeout
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.facts = self._answer()
        self.too_slow = None  # why prefill is not measured, if it is not

    def _answer(self):
        end, words = time.monotonic() + self.timeout, []
        while time.monotonic() < end:
            ready, _, _ = select.select([self.process.stdout, self.process.stderr], [], [], 1)
            if self.process.stderr in ready:  # libraries talk a lot: a full pipe would stop them
                words.append(self.process.stderr.read() or "")
            if self.process.stdout in ready:
                line = self.process.stdout.readline()
                if line:
                    return json.loads(line)
            if self.process.poll() is not None:
                words.append(self.process.stderr.read() or "")
                break
        last = "".join(words).strip().splitlines()[-1:] or ["no answer"]
        raise Gone(f"{self.name}: {last[0]}")

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _has(python, modules):
    """None, or why not."""
    try:
        done = subprocess.run([python, "-c", f"import {modules}"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["?"])[-1]


def _ours(options, compute, model, _gguf):
    plugin = os.path.join(options.build, "backends/blas/mistral_blas.so")
    return [os.path.join(options.build, "tests/peers/engine_worker"), model, plugin, compute,
            str(options.threads), "4", str(options.deep + 65536), str(CALL), *options.option]


def _llama(options, flash, _model, gguf):
    return [options.python_llama, os.path.join(HERE, "llama_worker.py"), gguf,
            str(options.threads), "3", str(POSITIONS), str(CALL), flash]


def _torch(options, compute, model, _gguf):
    return [options.python_torch, os.path.join(HERE, "torch_worker.py"), model, compute,
            str(options.threads), "3", str(CALL)]


# name, peer ("" is ours), command, its argument
ROWS = [("blas bf16", "", _ours, "bf16"),
        ("blas f32", "", _ours, "f32"),
        ("llama.cpp", "llama.cpp", _llama, "auto"),
        ("llama.cpp -fa off", "llama.cpp", _llama, "off"),
        ("torch bf16", "PyTorch", _torch, "bf16"),
        ("torch f32", "PyTorch", _torch, "f32")]


def make_model(options):
    """The checkpoint, and the GGUF if llama.cpp is there: made once, kept in --work."""
    model = os.path.join(options.work, f"7b-{options.layers}")
    if not os.path.exists(os.path.join(model, "consolidated.safetensors")):
        subprocess.run([os.path.join(options.build, "tools/mistral-model"), "synth",
                        f"synthetic:7b,n_layers={options.layers}", "-o", model], check=True,
                       stdout=sys.stderr)
    gguf = model + ".gguf"
    if not os.path.exists(gguf) and _has(options.python_llama, "gguf") is None:
        subprocess.run([options.python_llama, os.path.join(HERE, "checkpoint.py"), model, gguf,
                        "32768"], check=True, stdout=sys.stderr)
    return model, gguf


def start_all(options):
    """Those that could be started, and {name: why not} of the others."""
    missing = {"llama.cpp": (_has(options.python_llama, "llama_cpp, gguf"), PIP_LLAMA),
               "PyTorch": (_has(options.python_torch, "torch, transformers"), PIP_TORCH)}
    model, gguf = make_model(options)
    arms, skipped = [], {}
    for name, peer, command, argument in ROWS:
        why, pip = missing.get(peer, (None, ""))
        if options.arms and name not in options.arms:
            skipped[name] = "not asked for"
        elif why is not None:
            skipped[name] = f"{why}; {pip}"
        else:
            print(f"starting {name}", file=sys.stderr)
            try:
                arms.append(Arm(name, peer, command(options, argument, model, gguf),
                                options.timeout))
            except (Gone, OSError) as error:
                skipped[name] = str(error)
    return arms, skipped
