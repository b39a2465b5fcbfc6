#!/usr/bin/env python3
"""terminal.py - mistral-run on a terminal: Ctrl-C, letters, progress, a terminal that goes away. See
stage.py.
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from stage import HAS_EDITOR, LINE, RUN, TIMEOUT, Skip, Terminal, check, main, run, test  # noqa: E402


def check_gone(t):
    for _ in range(TIMEOUT * 20):
        pid, status = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            check(code in (0, 3, -signal.SIGHUP), code)
            return
        time.sleep(0.05)
    os.kill(t.pid, signal.SIGKILL)
    check(False, "it goes on without its terminal")


def wait_for_answer(t):
    """The line as it is typed, and once more where the answer begins."""
    for which in ("echo", "answer"):
        check(t.wait_for("hello") is not None, "no", which, t.seen)


@test
def ctrl_c_stops_the_answer_and_not_the_program(f):
    t = Terminal("interactive", f.model, "--max_tokens", "30000", "--ignore-eos")
    check(t.wait_for_prompt() is not None, "no prompt", t.seen)
    t.send("hello\r")
    wait_for_answer(t)
    t.send("\x03")
    check(t.wait_for(LINE) is not None, "the answer goes on", t.seen[-200:])
    check(t.wait_for_prompt() is not None, "no second prompt", t.seen)
    if HAS_EDITOR:
        t.send("half a line\x03")
        check(t.wait_for_prompt() is not None, "Ctrl-C at the prompt ended the program")
    code = t.end()
    check(code == 0, "exit code", code)


@test
def a_line_that_is_typed_may_have_any_letters(f):
    t = Terminal("interactive", f.model, "--max_tokens", "3")
    check(t.wait_for_prompt() is not None, "no prompt", t.seen)
    t.send("a\u00e9\u20ac\U0001f642b\r")
    shown = t.wait_for(LINE)
    check(shown is not None and "\na\u00e9\u20ac\U0001f642b" in shown, shown)
    code = t.end()
    check(code == 0, "exit code", code)


@test
def a_terminal_that_goes_away_ends_it(f):
    t = Terminal("interactive", f.model, "--max_tokens", "5")
    check(t.wait_for("Prompt: ") is not None, "no prompt", t.seen)
    os.close(t.fd)
    check_gone(t)


@test
def a_terminal_that_goes_away_during_an_answer_ends_it(f):
    """With the signal that the terminal sends, and without: under nohup."""
    for ignored in (False, True):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        t = Terminal("interactive", f.model, "--max_tokens", "30000", "--ignore-eos")
        signal.signal(signal.SIGHUP, before)
        check(t.wait_for_prompt() is not None, "no prompt", t.seen)
        t.send("hello\r")
        wait_for_answer(t)
        os.close(t.fd)
        check_gone(t)


@test
def score_shows_how_long_it_will_take_on_a_terminal_only(f):
    path = f.file("text", b"the quick brown fox jumps over the lazy dog " * 20)
    try:
        terminal, there = pty.openpty()
    except OSError as error:
        raise Skip(f"no pseudo terminal here: {error}") from error
    child = subprocess.Popen([RUN, "score", f.model, "--text", path, "--chunk", "1"], stderr=there,
                             stdout=subprocess.PIPE)
    os.close(there)
    shown = b""
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # that is how a pseudo terminal ends
            break
        shown += data
        if not data:
            break
    out = child.communicate(timeout=TIMEOUT)[0]
    os.close(terminal)
    check(child.returncode == 0 and b"perplexity" in out and b"left" not in out, out)
    check(re.search(rb"scoring \d+ % .* \d+ tokens/s .* \d+ s left", shown), shown[-300:])
    check(run(RUN, "score", f.model, "--text", path)[2] == "", "progress in a log")


if __name__ == "__main__":
    sys.exit(main())
