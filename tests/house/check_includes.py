#!/usr/bin/env python3
"""Every #include follows the arrows of docs/ARCHITECTURE.md.

    tools -> suites -> golden -> harness -> backends/mistral_backend.h <- backends/NAME

An arrow may be followed more than one step. usage: check_includes.py SOURCE_ROOT
Prints TAP. It first plants one bad line of each kind in a small tree, and must find each.
"""

import os
import re
import sys
import tempfile

import tree

ABI = "backends/mistral_backend.h"
SOURCES = (".c", ".h", ".cpp", ".hpp", ".cu", ".cuh")

# room: what it may include beside itself. reports is closed over results.h, see allowed().
ARROWS = {
    "backends": [ABI],
    "harness": [ABI],
    "golden": ["harness/", ABI],
    "suites": ["golden/", "harness/", ABI],
    "tools": ["suites/", "golden/", "reports/", "harness/", ABI],
    "tests": [""],
}
# A backend that is built from another one.
EXCEPTIONS = {"backends/mutant/": ["backends/reference/"]}
# Only these rooms may include these system headers.
SYSTEM = {"hdf5.h": ("golden/", "tests/"), "mistral_backend.h": ("backends/template/",)}
# Names that every folder may have, and folders whose files are data.
COMMON_NAMES = {"README.md", "meson.build", ".gitignore", ".gitattributes"}
DATA = re.compile(r"(^|/)(data|corpus|models|schema)/")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def includes(text):
    """(line number, '"' or '<', path) of each include; not those inside comments."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.DOTALL)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def closure(root, path):
    """path and every file of the tree that it includes, directly or not."""
    found, todo = set(), [path]
    while todo:
        one = todo.pop()
        if one not in found and os.path.isfile(os.path.join(root, one)):
            found.add(one)
            todo += [name for _, kind, name in includes(tree.read(root, one)) if kind == '"']
    return found


def own_folder(path):
    """A backend's room is its own folder, not backends/."""
    parts = path.split("/")
    return "/".join(parts[:2 if parts[0] == "backends" and len(parts) > 2 else 1]) + "/"


def allowed(root, path):
    room = path.split("/")[0]
    if room == "reports":
        return ["reports/", *sorted(closure(root, "harness/results.h") |
                                    closure(root, "harness/bench_results.h") |
                                    closure(root, "harness/history.h"))]
    extra = [name for prefix, names in EXCEPTIONS.items() if path.startswith(prefix)
             for name in names]
    return [own_folder(path), *ARROWS.get(room, []), *extra]


def check_include(root, path, kind, name):
    """What is wrong with this include, or None."""
    if kind == "<":
        where = SYSTEM.get(name)
        if where is not None and not path.startswith(where):
            return f"<{name}> belongs to {' and '.join(where)} alone"
        if os.path.isfile(os.path.join(root, name)):
            return f'<{name}> is a file of this project: write "{name}"'
        return None
    if not any(os.path.isfile(os.path.join(root, name + end)) for end in ("", ".in")):
        return f'"{name}" is not a path from the root of the project'
    if not name.startswith(tuple(allowed(root, path))):
        return f'"{name}" is against the arrows: {path.split("/")[0]} may not know it'
    return None


def check_tree(root):
    """All problems, a line each."""
    problems, first = [], {}
    for path in tree.files(root):
        name = os.path.basename(path)
        if "/" in path and name not in COMMON_NAMES and not DATA.search(path):
            other = first.setdefault(name, path)
            if other != path:
                problems.append(f"{path}: has the same name as {other}: a name is used once")
        if path.endswith(SOURCES):
            for line, kind, include in includes(tree.read(root, path)):
                problem = check_include(root, path, kind, include)
                if problem:
                    problems.append(f"{path}:{line}: {problem}")
    return problems


# path, text, and a part of the expected problem (None: it is fine).
PLANTED = [
    ("backends/mistral_backend.h", "#include <stdint.h>\n", None),
    ("harness/compare.h", '#include "backends/mistral_backend.h"\n', None),
    ("harness/results.h", '#include "harness/compare.h"\n', None),
    ("harness/model.h", '/* once\n#include "suites/suite.h"\n*/\n', None),
    ("harness/up.c", '\n\n#include "suites/suite.h"\n', "harness/up.c:3: \"suites/suite.h\" is against"),
    ("harness/sideways.c", ' # include "compare.h"\n', "is not a path from the root"),
    ("harness/record.c", "#include <hdf5.h>\n", "<hdf5.h> belongs to golden/"),
    ("harness/angle.c", "#include <harness/model.h>\n", 'write "harness/model.h"'),
    ("harness/to_backend.c", '#include "backends/blas/blas.h"\n', "is against the arrows"),
    ("golden/golden.c", '#include <hdf5.h>\n#include "harness/model.h"\n', None),
    ("golden/up.cpp", '#include "suites/suite.h"\n', "golden/up.cpp:1: "),
    ("suites/suite.h", '#include "golden/none.h"\n', "is not a path from the root"),
    ("suites/report.c", '#include "reports/report.h"\n', "is against the arrows"),
    ("reports/report.h", '#include "harness/results.h"\n', None),
    ("reports/json.c", '#include "harness/compare.h"\n#include "reports/report.h"\n', None),
    ("reports/peek.c", '#include "harness/model.h"\n', "is against the arrows"),
    ("tools/main.c", '#include "reports/report.h"\n#include "suites/suite.h"\n', None),
    ("backends/blas/blas.h", '#include "backends/mistral_backend.h"\n', None),
    ("backends/blas/blas.c", '#include "backends/blas/blas.h"\n', None),
    ("backends/blas/host.c", '#include "harness/model.h"\n', "is against the arrows"),
    ("backends/blas/share.c", '#include "backends/reference/reference.c"\n', "is against the arrows"),
    ("backends/reference/reference.c", "", None),
    ("backends/mutant/mutant.c", '#include "backends/reference/reference.c"\n', None),
    ("backends/template/template.c", "#include <mistral_backend.h>\n", None),
    ("backends/blas/installed.c", "#include <mistral_backend.h>\n", "belongs to backends/template/"),
    ("tests/test_all.c", '#include "tools/main.c"\n', None),
    ("tests/json.c", "", "has the same name as reports/json.c"),
    ("tests/README.md", "", None),
    ("docs/README.md", "", None),
    ("tests/data/json.c", "", None),
    ("build-x/harness/up.c", '#include "suites/suite.h"\n', None),
]


def self_check():
    """Differences between what was planted and what was found."""
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in PLANTED:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        found = check_tree(root)
    wrong = [f"planted in {path}, and not found: {expected}" for path, _, expected in PLANTED
             if expected and not any(path in one and expected in one for one in found)]
    bad = {path for path, _, expected in PLANTED if expected}
    wrong += [f"found, and not planted: {one}" for one in found if one.split(":")[0] not in bad]
    return wrong


def tap(number, name, problems):
    for problem in problems:
        print(f"# {problem}")
    print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    return not problems


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_includes.py SOURCE_ROOT")
    print("1..2")
    found = tap(1, "finds each planted bad line and no other", self_check())
    clean = tap(2, "every include follows the arrows", check_tree(sys.argv[1]))
    return 0 if found and clean else 1


if __name__ == "__main__":
    sys.exit(main())
