#!/usr/bin/env python3
"""Every header compiles on its own, and twice: as C, as C++ too if it says extern "C", and as C++
alone if it includes a header of C++.

usage: check_headers.py SOURCE_ROOT BUILD_ROOT CC CXX
CC and CXX are commands, with ' ' between their words. Folders of libraries are taken from
BUILD_ROOT/compile_commands.json. Prints TAP. It first compiles a header that cannot stand alone.
"""

import json
import os
import re
import shlex
import subprocess
import sys

import tree

# The MV_ ones are given to every test by tests/meson.build.
FLAGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-D_GNU_SOURCE",
         *(f'-DMV_{name}="."' for name in ("TEST_DATA", "SOURCE_ROOT", "BUILD_ROOT"))]

CPP_HEADER = re.compile(r"^#include <[a-z_]+>", re.MULTILINE)  # <string>, and not <string.h>


def library_folders(build_root):
    """The include options of the whole build, each once, made absolute."""
    options = []
    with open(os.path.join(build_root, "compile_commands.json"), encoding="utf-8") as file:
        for command in json.load(file):
            words = shlex.split(command["command"])
            for word, after in zip(words, words[1:] + [""]):
                if word == "-isystem":
                    options.append(("-isystem", after))
                elif word.startswith(("-I", "-isystem")):
                    option = "-I" if word.startswith("-I") else "-isystem"
                    options.append((option, word[len(option):]))
    return [word for option, folder in dict.fromkeys(options)
            for word in (option, os.path.normpath(os.path.join(build_root, folder)))]


def compile_text(compiler, language, folders, text):
    """The compiler's words, or "" if it is content."""
    standard = "c11" if language == "c" else "c++17"
    done = subprocess.run([*compiler, "-x", language, f"-std={standard}", *FLAGS, *folders, "-"],
                          input=text, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return done.stderr or f"{compiler[0]} ended with {done.returncode}"


def languages(text):
    if CPP_HEADER.search(text):
        return ["c++"]
    return ["c", "c++"] if 'extern "C"' in text else ["c"]


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: check_headers.py SOURCE_ROOT BUILD_ROOT CC CXX")
    root, build_root = sys.argv[1:3]
    compilers = {"c": sys.argv[3].split(), "c++": sys.argv[4].split()}
    folders = ["-I", root, *library_folders(build_root)]
    checks = [(path, language) for path in tree.files(root) if path.endswith(".h")
              for language in languages(tree.read(root, path))]

    print(f"1..{len(checks) + 2}")
    failed = False
    for number, language in enumerate(compilers, 1):
        words = compile_text(compilers[language], language, folders, "size_t nobody_declared_it;\n")
        failed |= not words
        print(f"{'ok' if words else 'not ok'} {number} - a header that lacks one is found ({language})")
    for number, (path, language) in enumerate(checks, 3):
        words = compile_text(compilers[language], language, folders, f'#include "{path}"\n' * 2)
        failed |= bool(words)
        for line in words.splitlines():
            print(f"# {line}")
        print(f"{'not ok' if words else 'ok'} {number} - {path} compiles alone ({language})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
