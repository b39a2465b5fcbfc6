#!/usr/bin/env python3
"""report.py - what mistral-report makes of files that are whole, and of files that are not. Prints
TAP.

usage: report.py SOURCE_ROOT BUILD_ROOT
"""
import json
import os
import subprocess
import sys
import tempfile

SOURCE, BUILD = (os.path.abspath(argument) for argument in sys.argv[1:3])
REPORT = os.path.join(BUILD, "tools", "mistral-report")
MAKE_PAGES = os.path.join(BUILD, "tests", "make_pages")
PASSING = os.path.join(SOURCE, "tests", "data", "reports", "passing.json")
MIXED = os.path.join(SOURCE, "tests", "data", "reports", "mixed.json")
LINE = ('{"schema":"mistral-bench-history/1","date_utc":"d","commit":"c","key":"k","anchor":"a",'
        '"ratio":1.01}\n')


class Wrong(Exception):
    """What a test found."""


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def run(*arguments, code, **more):
    done = subprocess.run([REPORT, *arguments], capture_output=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL, **more)
    expect(done.returncode == code, f"{arguments}: exit code {done.returncode}, expected {code}: "
                                    f"{done.stderr[-600:]}")
    return done


def write(name, text):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return name


def other_model(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    results["model"]["params"]["n_layers"] += 1
    return write("other.json", json.dumps(results))


def bad_input_is_one_line_and_the_right_code():
    with open(PASSING, encoding="utf-8") as file:
        whole = file.read()
    table = [
        ([write("cut.json", whole[:len(whole) // 2])], "cut.json", 3),
        ([write("empty.json", "")], "empty.json", 3),
        ([write("list.json", "[1]")], "list.json", 3),
        ([write("schema.json", '{"schema": "mistral-verify/9"}')], "mistral-verify/1", 3),
        ([write("cut.jsonl", LINE + LINE[:40])], "line 2: expected a whole line", 3),
        ([write("odd.jsonl", LINE + "{}\n")], "line 2: expected an object", 3),
        (["none.json"], "none.json", 3),
        ([write("<script>\n\x1b[31m.json", "{")], "script", 3),
        ([], "expected at least one results file", 2),
        ([PASSING, "--compare", other_model(MIXED)], "which has another shape", 3),
        ([write("h.jsonl", LINE), "--compare", MIXED], "--compare", 3),
        (["h.jsonl", "--format", "md"], "expected --format html", 2),
        ([PASSING, "--compare", MIXED, "--format", "csv"], "(or md, for two runs of", 2),
        ([PASSING, MIXED, "--compare", MIXED, "--format", "md"], "expected --format html", 2),
        ([PASSING, MIXED, "--format", "csv"], "expected --format html", 2),
        (["--extract", PASSING], "no page of mistral-report", 3),
        ([PASSING, "--backend", "blas"],
         "--backend: expected results files only, found 'blas'; results name theirs", 2),
        (["."], "expected a regular file", 3),
    ]
    for arguments, words, code in table:
        done = run(*arguments, code=code)
        text = done.stderr.decode()
        expect(text.count("\n") == 1 and text.endswith("\n"), f"not one line: {text!r}")
        expect(words in text, f"{arguments}: lacks {words!r}: {text!r}")
        expect(not any(ord(c) < 32 for c in text[:-1]), f"a control character: {text!r}")
        expect(not done.stdout, f"{arguments}: wrote a result: {done.stdout[:200]!r}")


def a_refused_input_leaves_the_page_that_was_there():
    write("kept.html", "kept")
    run("cut.json", "--output", "kept.html", code=3)
    with open("kept.html", encoding="utf-8") as file:
        expect(file.read() == "kept", "the old page is gone")


def the_same_files_make_the_same_bytes():
    pages = [run(PASSING, "h.jsonl", "--compare", MIXED, code=0,
                 env={**os.environ, "SOURCE_DATE_EPOCH": epoch}).stdout for epoch in ("1", "99")]
    expect(pages[0] == pages[1], "two pages of the same files differ")
    expect(pages[0].startswith(b"<!DOCTYPE html>"), "no page")


def changes_since_an_older_run_fit_a_comment():
    with open(PASSING, encoding="utf-8") as file:
        now = json.load(file)
    write("before.json", json.dumps(now))
    broken, gone = now["cases"][0], now["cases"].pop()
    broken["verdict"], broken["reason"] = "fail", "a | b"
    now["verdict"] = "fail"
    now["summary"]["passed"] -= 1
    now["summary"]["failed"] += 1
    now["cases"].append({**gone, "case": "a <new> case"})
    now["environment"]["compiler"] = "another"
    write("now.json", json.dumps(now))
    text = run("now.json", "--compare", "before.json", "--output", "c.md", code=0).stdout
    expect(text == b"", "wrote to stdout")
    with open("c.md", encoding="utf-8") as file:
        text = file.read()
    changes = text[text.index("### Since the older run"):]
    for words in ("**1 no longer holds, 0 hold again**", "1 new, 1 gone", "these differ: compiler",
                  "| pass | **fail** |", "| pass | not run |"):
        expect(words in changes, f"lacks {words!r}: {changes}")
    expect(changes.count("\n| ") == 3, f"expected a head and two rows: {changes}")
    same = run("now.json", "--compare", "now.json", "--format", "md", code=0).stdout.decode()
    expect("0 no longer hold, 0 hold again; 0 of " in same, "a run differs from itself")


def what_goes_into_a_page_comes_out_again():
    subprocess.run([MAKE_PAGES, "."], check=True, timeout=60)
    for page in ("times.html", "mixed.html", "hostile.html", "many.html"):
        out = run("--extract", page, code=0).stdout.decode()
        decoder, documents, at = json.JSONDecoder(), [], 0
        while at < len(out):
            document, end = decoder.raw_decode(out, at)
            documents.append(document)
            at = end + len(out[end:]) - len(out[end:].lstrip())
        expect(documents, f"{page}: nothing came out")
        if len(documents) == 1:
            write("out.json", out)
            again = run("out.json", code=0).stdout.decode()
            with open(page, encoding="utf-8") as file:
                expect(file.read().count("<tr>") == again.count("<tr>"), f"{page}: another page")


def main():
    failed = 0
    tests = [value for name, value in globals().items()
             if callable(value) and getattr(value, "__module__", "") == "__main__"
             and name not in ("Wrong", "expect", "run", "write", "other_model", "main")]
    print(f"1..{len(tests)}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, test in enumerate(tests, 1):
            name = test.__name__.replace("_", " ")
            try:
                test()
                print(f"ok {number} - {name}")
            except Wrong as wrong:
                failed += 1
                print("# " + str(wrong).replace("\n", "\n# "))
                print(f"not ok {number} - {name}")
        os.chdir("/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
