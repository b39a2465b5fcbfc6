#!/usr/bin/env python3
"""usage: make_page.py PROGRAM PAGE.1.in VERSION OUT: fills @OPTIONS@ from PROGRAM --help."""
import pathlib
import sys

sys.dont_write_bytecode = True
from help_options import parse, read_help  # noqa: E402


def escape(text):
    """For roff: no requests, no escapes, and hyphens that can be searched for."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\\&" + text if text[:1] in ".'" else text


def option_lines(option):
    value = f" Ns = Ns Ar {escape(option.value)}" if option.value else ""
    short = f"Fl {option.short.replace('?', chr(92) + '&?')} , " if option.short else ""
    return [f".It {short}Fl Fl {escape(option.long)}{value}", escape(option.text) + "."]


def main():
    program, page, version, out = sys.argv[1:]
    lines = [line for option in parse(read_help(program)) for line in option_lines(option)]
    text = pathlib.Path(page).read_text(encoding="utf-8")
    if "@OPTIONS@\n" not in text or "@VERSION@" not in text:
        raise SystemExit(f"{page}: expected @OPTIONS@ on a line, and @VERSION@")
    listed = "\n".join([".Bl -tag -width Ds", *lines, ".El\n"])
    shared = (pathlib.Path(page).parent / "exit_status.in").read_text(encoding="utf-8")
    text = text.replace("@OPTIONS@\n", listed).replace("@VERSION@", version)
    pathlib.Path(out).write_text(text.replace("@EXIT_STATUS@\n", shared), encoding="utf-8")


if __name__ == "__main__":
    main()
