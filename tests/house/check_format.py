#!/usr/bin/env python3
"""Every source file is as clang-format 14 writes it (another version writes other things).

usage: check_format.py SOURCE_ROOT. Ends with 77, a skip, where there is no clang-format 14.
"""

import re
import shutil
import subprocess
import sys

import tree

VERSION = 14


def find_tool():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if path is None:
            continue
        words = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        match = re.search(r"version (\d+)", words.stdout)
        if match and int(match.group(1)) == VERSION:
            return path
    return None


def check(tool, root, paths):
    return subprocess.run([tool, "--dry-run", "-Werror", *paths], cwd=root, capture_output=True,
                          text=True, check=False)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_format.py SOURCE_ROOT")
    root = sys.argv[1]
    tool = find_tool()
    if tool is None:
        print(f"skipped: no clang-format {VERSION} here (Debian: clang-format-{VERSION})")
        return 77
    paths = [path for path in tree.files(root)
             if path.endswith((".c", ".h", ".cpp", ".hpp", ".cu", ".cuh"))]
    bad = []
    # All at once is ten times as fast; one by one says which, and survives its crashes.
    if not paths or check(tool, root, paths).returncode != 0:
        for path in paths:
            done = check(tool, root, [path])
            if done.returncode != 0:
                bad.append(path)
                print("\n".join(done.stderr.splitlines()[:3]))
            if done.returncode < 0:  # known to crash on arrays whose rows differ in length
                print(f"{path}: clang-format ended by signal {-done.returncode}")
    for path in bad:
        print(f"not formatted: {path}; run {tool} -i {path}")
    print(f"{len(paths)} files, {len(bad)} to be formatted")
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
