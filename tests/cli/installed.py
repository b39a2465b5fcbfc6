#!/usr/bin/env python3
"""installed.py - what meson install leaves: programs, pages, completion, and all that a backend from
elsewhere needs. Installs into a folder of its own. Prints TAP.

usage: installed.py BUILD_ROOT MESON
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, MESON = os.path.abspath(sys.argv[1]), sys.argv[2].split()
PROGRAMS = [f"mistral-{one}" for one in ("bench", "golden", "model", "report", "run", "verify")]
LIMIT_S = 120


class Skip(Exception):
    """Why a test cannot be run here."""


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def need(tool):
    if shutil.which(tool) is None:
        raise Skip(f"no {tool} here")


class Place:
    """The folder that stands for /; its parts by meson's own account."""

    def __init__(self, root):
        done = subprocess.run([*MESON, "introspect", "--buildoptions", BUILD], check=True,
                              capture_output=True, text=True, timeout=LIMIT_S)
        self.option = {one["name"]: one["value"] for one in json.loads(done.stdout)}
        self.root = root
        self.prefix = root + self.option["prefix"]
        subprocess.run([*MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root],
                       check=True, capture_output=True, timeout=LIMIT_S)
        self.lib = os.path.join(self.prefix, self.option["libdir"])
        self.man = os.path.join(self.prefix, self.option["mandir"], "man1")
        self.share = os.path.join(self.prefix, self.option["datadir"])
        bin_dir = os.path.join(self.prefix, self.option["bindir"])
        self.environment = {**os.environ, "PATH": bin_dir + os.pathsep + os.environ["PATH"],
                            "MISTRAL_BACKEND_DIR": os.path.join(self.lib, "mistral-verify")}

    def run(self, *words, **more):
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL, **{"env": self.environment, **more})


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


# ---- pages ----

def every_option_of_help_is_in_the_page(place):
    for program in PROGRAMS:
        page = read(place.man, program + ".1")
        shown = place.run(program, "--help").stdout
        options = set(re.findall(r"(?m)^ +(?:-\S, )?--([a-z-]+)", shown))
        expect(len(options) > 10, f"{program} --help: {shown}")
        listed = {one.replace("\\", "") for one in re.findall(r"(?m)^\.It .*Fl Fl ([a-z\\-]+)", page)}
        expect(options == listed, f"{program}: only in one of the two: {options ^ listed}")
        for section in ("DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
            expect(f".Sh {section}\n" in page, f"{program}: no section {section}")
        expect("@" not in re.sub(r"@(FILE|book)", "", page), f"{program}: a place was not filled")


def the_pages_are_sound_roff(place):
    need("man")
    need("groff")
    for program in PROGRAMS:
        done = place.run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                         os.path.join(place.man, program + ".1"))
        expect(done.returncode == 0 and done.stderr == "" and "DESCRIPTION" in done.stdout,
               f"{program}: {done.stderr}")


def the_examples_of_the_pages_use_options_that_there_are(place):
    for program in PROGRAMS:
        for line in re.findall(r"(?m)^\.Dl \$ (.*)$", read(place.man, program + ".1")):
            words = line.replace("\\-", "-").split()
            shown = place.run(words[0], "--help").stdout.replace("_", "-")
            for word in words:
                if word.startswith("--"):
                    expect(re.search(rf"{word.replace('_', '-')}\b", shown), f"{line}: {word}")


# ---- completion ----

COMPLETE = """
. "$1"; shift
name=$1
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
$(complete -p "$name" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(place, *words):
    script = os.path.join(place.share, "bash-completion", "completions", words[0])
    with tempfile.TemporaryDirectory() as empty:
        done = place.run("bash", "--norc", "-c", COMPLETE, "complete", script, *words, cwd=empty)
    expect(done.returncode == 0 and done.stderr == "", f"{words}: {done.stderr}")
    return done.stdout.split()


def bash_completes_options_suites_and_commands(place):
    need("bash")
    for words, expected in [
        (("mistral-verify", "--loc"), ["--localize"]),
        (("mistral-verify", "--suite", "chun"), ["chunking"]),
        (("mistral-verify", "--suite", "=", "chunking,win"), ["chunking,window"]),
        (("mistral-verify", "-s", "all"), ["all"]),
        (("mistral-verify", "--compute", ""), ["f64", "f32", "bf16"]),
        (("mistral-verify", "--backend", "refer"), ["reference"]),
        (("mistral-verify", "--format", "js"), ["json"]),
        (("mistral-verify", "ti"), ["tiny"]),
        (("mistral-verify", "synthetic:7"), ["7b"]),
        (("mistral-verify", "--length", ""), []),
        (("mistral-bench", "--no"), ["--no-check"]),
        (("mistral-run", "inter"), ["interactive"]),
        (("mistral-run", "demo", "ti"), ["tiny"]),
        (("mistral-run", "demo", "--max-t"), ["--max-tokens"]),
        (("mistral-model", "convert", "x", "--to", "p"), ["pth"]),
        (("mistral-golden", "re"), ["record"]),
        (("mistral-report", "--ext"), ["--extract"]),
    ]:
        found = complete(place, *words)
        expect(found == expected, f"{words}: expected {expected}, found {found}")


def zsh_can_read_its_completion(place):
    need("zsh")
    for program in PROGRAMS:
        path = os.path.join(place.share, "zsh", "site-functions", "_" + program)
        done = place.run("zsh", "-f", "-n", path)
        expect(done.returncode == 0 and done.stderr == "", f"{path}: {done.stderr}")
        expect(read(path).startswith(f"#compdef {program}\n"), path)


# ---- programs ----

def the_programs_run_where_they_were_put(place):
    for program in PROGRAMS:
        done = place.run(program, "--version")
        expect(done.returncode == 0 and done.stdout.startswith(program + " "), done)
    done = place.run("mistral-verify", "--suite", "determinism")
    expect(done.returncode == 0, f"{done.stdout} {done.stderr}")


def a_backend_from_elsewhere_is_built_and_used(place):
    need("pkg-config")
    need("ninja")
    home = os.path.join(place.root, "elsewhere")
    shutil.copytree(os.path.join(os.path.dirname(__file__), "..", "..", "backends", "template"), home)
    # The flags of the project's own build (sanitizers) are not those of somebody's plugin.
    environment = {name: value for name, value in place.environment.items()
                   if name not in ("CFLAGS", "LDFLAGS", "CPPFLAGS")}
    environment["PKG_CONFIG_PATH"] = os.path.join(place.lib, "pkgconfig")
    environment["PKG_CONFIG_SYSROOT_DIR"] = place.root
    for words in ([*MESON, "setup", "--werror", "build"], ["ninja", "-C", "build"]):
        done = place.run(*words, cwd=home, env=environment)
        expect(done.returncode == 0, f"{' '.join(words)}: {done.stdout} {done.stderr}")
    done = place.run("pkg-config", "--variable=backenddir", "mistral-backend", env=environment)
    expect(done.stdout.strip().endswith("/mistral-verify"), done.stdout)
    plugin = os.path.join(home, "build", "mistral_template.so")
    done = place.run("mistral-verify", "--backend", plugin, "--suite", "determinism,chunking",
                     "--format", "json")
    expect(done.returncode == 1, f"a model without layers: exit code {done.returncode}: {done.stderr}")
    cases = json.loads(done.stdout)["cases"]
    verdicts = {one["verdict"] for one in cases if one["suite"] == "chunking"}
    expect(verdicts == {"fail"}, f"chunking: {verdicts}")


TESTS = [
    every_option_of_help_is_in_the_page,
    the_pages_are_sound_roff,
    the_examples_of_the_pages_use_options_that_there_are,
    bash_completes_options_suites_and_commands,
    zsh_can_read_its_completion,
    the_programs_run_where_they_were_put,
    a_backend_from_elsewhere_is_built_and_used,
]


def main():
    print(f"1..{len(TESTS)}")
    n_failed = 0
    with tempfile.TemporaryDirectory(prefix="mv-installed-") as root:
        place = Place(root)
        for number, test in enumerate(TESTS, 1):
            word, note = "ok", ""
            try:
                test(place)
            except Skip as reason:
                note = f" # SKIP {reason}"
            except (Wrong, subprocess.TimeoutExpired, ValueError, KeyError, OSError) as problem:
                word = "not ok"
                n_failed += 1
                for line in f"{type(problem).__name__}: {problem}".splitlines():
                    print(f"# {line}")
            print(f"{word} {number} - {test.__name__.replace('_', ' ')}{note}", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
