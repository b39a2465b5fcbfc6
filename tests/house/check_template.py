#!/usr/bin/env python3
"""A copy of backends/template builds with nothing but the installed header and pkg-config.

usage: check_template.py SOURCE_ROOT BUILD_ROOT MESON
Makes a prefix that holds the header and the .pc file, copies the folder, follows its README, and
asks the library for its table. Ends with 77, a skip, without ninja or pkg-config.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile

MAX_LINES = 200


def make_prefix(source_root, build_root, prefix):
    """As meson install would, for the two files that matter. Returns the folder of the .pc file."""
    os.makedirs(os.path.join(prefix, "include"))
    shutil.copy(os.path.join(source_root, "backends", "mistral_backend.h"),
                os.path.join(prefix, "include"))
    with open(os.path.join(build_root, "meson-private", "mistral-backend.pc"),
              encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"(?m)^prefix=.*$", f"prefix={prefix}", text)
    text = re.sub(r"(?m)^includedir=.*$", "includedir=${prefix}/include", text)
    with open(os.path.join(prefix, "mistral-backend.pc"), "w", encoding="utf-8") as file:
        file.write(text)
    return prefix


def build(source_root, build_root, meson, work):
    copy = os.path.join(work, "mistral-mine")
    shutil.copytree(os.path.join(source_root, "backends", "template"), copy)
    os.rename(os.path.join(copy, "template.c"), os.path.join(copy, "mine.c"))
    for name in ("mine.c", "meson.build"):
        path = os.path.join(copy, name)
        with open(path, encoding="utf-8") as file:
            text = file.read().replace("template", "mine")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    # A plain build, whatever the flags of the project's own are (sanitizers, coverage).
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("CFLAGS", "LDFLAGS", "CPPFLAGS")}
    environment["PKG_CONFIG_PATH"] = make_prefix(source_root, build_root,
                                                 os.path.join(work, "prefix"))
    for command in ([*meson, "setup", "--werror", "build"], ["ninja", "-C", "build"]):
        subprocess.run(command, cwd=copy, env=environment, check=True)
    return os.path.join(copy, "build", "mistral_mine.so")


def check(library):
    class Head(ctypes.Structure):
        _fields_ = [("abi_major", ctypes.c_uint32), ("abi_minor", ctypes.c_uint32),
                    ("struct_size", ctypes.c_size_t), ("name", ctypes.c_char_p)]

    get = ctypes.CDLL(library).mv_backend_get
    get.restype = ctypes.POINTER(Head)
    table = get().contents
    print(f"ABI {table.abi_major}.{table.abi_minor}, {table.struct_size} bytes, {table.name}")
    return table.abi_major == 1 and table.name == b"mine"


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: check_template.py SOURCE_ROOT BUILD_ROOT MESON")
    source_root, build_root, meson = sys.argv[1], sys.argv[2], sys.argv[3].split()
    for tool in ("ninja", "pkg-config"):
        if shutil.which(tool) is None:
            print(f"skipped: no {tool} here")
            return 77
    with open(os.path.join(source_root, "backends", "template", "template.c"),
              encoding="utf-8") as file:
        n_lines = len(file.readlines())
    if n_lines >= MAX_LINES:
        print(f"template.c: expected a skeleton of fewer than {MAX_LINES} lines, found {n_lines}")
        return 1
    with tempfile.TemporaryDirectory() as work:
        return 0 if check(build(source_root, build_root, meson, work)) else 1


if __name__ == "__main__":
    sys.exit(main())
