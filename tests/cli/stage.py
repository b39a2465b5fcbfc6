"""stage.py - what the tests of mistral-run and mistral-model share: the programs, a model to run them
on, a terminal to run them in, and the list of tests, printed as TAP.

A test file calls main(), and is called as: FILE MISTRAL_RUN MISTRAL_MODEL TOKENIZER.
"""
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

RUN, MODEL, TOKENIZER = sys.argv[1:4]
LINE = "=" * 21
TIMEOUT = 60
TESTS = []
with open(RUN, "rb") as program_file:
    HAS_EDITOR = b"libedit.so" in program_file.read()


def test(function):
    TESTS.append(function)
    return function


def run(program, *args, stdin="", **more):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([program, *args], input=stdin, capture_output=True, timeout=TIMEOUT,
                          check=False, **more)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()


def check(condition, *words):
    if not condition:
        raise AssertionError(" ".join(map(str, words)))


def check_ends(result, code, fragment=""):
    check(result[0] == code, "expected exit code", code, "found", result)
    check(fragment in result[2], "expected", repr(fragment), "in", result[2])
    check("Sanitizer" not in result[2] and "runtime error" not in result[2], result[2])


class Folder:
    """A random model with a tokenizer, on which no text makes sense and every path is taken."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="mv-cli-")
        self.model = os.path.join(self.path, "model")
        check_ends(run(MODEL, "synth", "synthetic:probe,vocab_size=420", "-o", self.model), 0)
        shutil.copy(TOKENIZER, os.path.join(self.model, "tokenizer.model"))
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.path)

    def file(self, name, data):
        path = os.path.join(self.path, name)
        with open(path, "wb") as out:
            out.write(data)
        return path


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


class Terminal:
    """The program on a pseudo terminal."""

    def __init__(self, *args):
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:
            raise Skip(f"no pseudo terminal here: {error}") from error
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # libedit keeps names of functions
            os.execv(RUN, [RUN, *args])
        self.seen = ""
        self.status = None  # waitpid's

    def wait_for(self, text, seconds=30):
        """What was printed up to text; None if the program ended or was silent for too long."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]
            try:
                data = os.read(self.fd, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                return None
            self.seen += data.decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def is_edited(self):
        """The editor has the terminal. Before that, what is typed can get lost: an end of input is
        then no key, and the kernel throws it away as the editor takes over."""
        return not HAS_EDITOR or not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def wait_for_prompt(self):
        """The prompt, and behind it the editor. Until then nothing may be typed."""
        before = self.wait_for("Prompt: ")
        end = time.monotonic() + TIMEOUT
        while before is not None and not self.is_edited():
            check(time.monotonic() < end, "a prompt, but the editor does not take the terminal")
            time.sleep(0.01)
        return before

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """An end of input, again until it is heard; then as close()."""
        last = 0.0
        for _ in range(TIMEOUT * 20):
            try:
                if time.monotonic() > last + 0.5 and self.is_edited():
                    last = time.monotonic()
                    self.send("\x04")
            except OSError:  # the program is gone, and the terminal with it
                break
            if self.has_ended():
                break
        return self.close()

    def has_ended(self):
        """Waits for 50 ms, and reads what was printed."""
        pid, status = os.waitpid(self.pid, os.WNOHANG) if self.status is None else (0, 0)
        if pid:
            self.status = status
        elif self.status is None and select.select([self.fd], [], [], 0.05)[0]:
            try:
                os.read(self.fd, 4096)
            except OSError:
                time.sleep(0.05)  # it is about to end
        return self.status is not None

    def close(self):
        """The exit code, or minus the signal's number."""
        for _ in range(TIMEOUT * 20):
            if self.has_ended():
                os.close(self.fd)
                return os.waitstatus_to_exitcode(self.status)
        os.kill(self.pid, signal.SIGKILL)
        return None


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for number, function in enumerate(TESTS, 1):
        name = function.__name__.replace("_", " ")
        try:
            with Folder() as folder:
                function(folder)
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, ValueError, OSError) as error:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in str(error).splitlines()[:20]:
                print(f"# {line[:1000]}")
    return 1 if failed else 0
