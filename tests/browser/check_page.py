#!/usr/bin/env python3
"""The sample pages in a real browser: no request, no complaint, no barrier, and the keys work.

usage: check_page.py MAKE_PAGES [FOLDER]
FOLDER receives pictures: light, dark, narrow, without scripts, and a print. Ends with 77, a skip,
without Chromium (Debian: chromium; MISTRAL_TEST_CHROMIUM names another) or without axe-core (the wheel
axe-playwright-python or axe-core-python; MISTRAL_TEST_AXE names an axe.min.js, or a folder with one
somewhere in it: a virtual environment, or what pip install --target made). Prints TAP.
"""

import glob
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chromium  # noqa: E402

WHEELS = ("axe_playwright_python", "axe_core_python", "axe_selenium_python")


def find_axe():
    named = os.environ.get("MISTRAL_TEST_AXE", "")
    folders = [named] if named else []
    for wheel in WHEELS:
        found = importlib.util.find_spec(wheel)
        if found and found.submodule_search_locations:
            folders.append(found.submodule_search_locations[0])
    paths = [named]
    for folder in folders:
        paths += sorted(glob.glob(os.path.join(folder, "**", "axe.min.js"), recursive=True),
                        key=lambda path: [wheel in path for wheel in WHEELS], reverse=True)
    for path in paths:
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    return None


def check_quiet(browser, problems):
    """Nothing was asked for but the page itself, and nobody complained."""
    problems += [f"asked for {url[:100]}" for url in browser.requests[1:]
                 if not url.startswith("blob:")]
    problems += [f"complaint: {words}" for words in browser.complaints]


def check_barriers(browser, axe, problems, unfold=True):
    browser.evaluate(axe + "; 0")
    if unfold:
        browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    result = json.loads(browser.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map("
        "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])))"))
    problems += [f"axe: {rule} on {n} nodes: {node} {words}" for rule, n, node, words in result]


def check_width(browser, problems):
    if browser.evaluate("document.documentElement.scrollWidth > innerWidth"):
        problems.append("the page is wider than the window")


def check_keys(browser, problems):
    """A chart is one stop; arrows walk its points, Escape ends; a heading sorts."""
    if not browser.evaluate("!!document.querySelector('.plot .pt')"):
        return
    browser.evaluate("document.querySelector('.plot').focus()")
    browser.press("ArrowRight")
    first = browser.evaluate("document.querySelector('.tip').textContent")
    browser.press("ArrowRight")
    browser.press("ArrowLeft")
    again = browser.evaluate("document.querySelector('.tip').textContent")
    if not first or first != again:
        problems.append(f"the arrows do not walk the points: {first!r}, {again!r}")
    browser.press("Escape")
    if not browser.evaluate("document.querySelector('.tip').hidden"):
        problems.append("Escape does not close the tip")
    sorts = browser.evaluate(
        "(() => { const b = document.querySelector('th button'); if (!b) return 'none';"
        " b.click(); return b.parentNode.getAttribute('aria-sort'); })()")
    if sorts not in ("none", "ascending"):
        problems.append(f"a heading does not sort: {sorts}")


def check_print(browser, path, problems):
    """On paper nothing of a table may be missing, and no tool is shown."""
    browser.look(760, 1100, True, media="print")
    browser.open(path)
    hidden = browser.evaluate("[...document.querySelectorAll('details')].forEach(d => d.open = true),"
                              " [...document.querySelectorAll('th')].filter("
                              "th => th.textContent && !th.innerText.trim()).length")
    if hidden:
        problems.append(f"{hidden} headings of tables are not printed")
    if browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)":
        problems.append("a dark page is printed dark")


def check_without_scripts(browser, path, problems):
    """All that is said is said without them."""
    browser.open(path)
    with_scripts = browser.evaluate("document.querySelectorAll('main section').length")
    browser.open(path, scripts=False)
    without = browser.call("DOM.getDocument", depth=-1)
    text = json.dumps(without)
    if text.count('"SECTION"') != with_scripts:
        problems.append(f"{text.count('SECTION')} sections without scripts, {with_scripts} with")


def check(browser, axe, path, pictures):
    problems = []
    name = os.path.splitext(os.path.basename(path))[0]
    for what, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 400, False),
                              ("narrow-dark", 400, True)):
        browser.look(width, 900, dark)
        browser.open(path)
        check_quiet(browser, problems)
        check_width(browser, problems)
        if pictures:
            height = browser.evaluate("document.documentElement.scrollHeight")
            browser.look(width, min(height, 12000), dark)
            browser.picture(os.path.join(pictures, f"{name}-{what}.png"), whole=False)
        if what in ("light", "dark") or (name == "both" and what == "narrow"):
            check_barriers(browser, axe, problems, name != "many")  # thousands of cells: minutes
    browser.look(1280, 900)
    browser.open(path)
    check_keys(browser, problems)
    if pictures:
        browser.look(760, 1100, media="print")
        browser.print_to(os.path.join(pictures, f"{name}.pdf"))
    check_print(browser, path, problems)
    check_without_scripts(browser, path, problems)
    return problems


def main():
    program, axe = chromium.find(), find_axe()
    if program is None or axe is None:
        print("1..0 # SKIP no " + ("Chromium" if program is None else "axe-core") + " here")
        return 77
    pictures = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder, chromium.Browser(program) as browser:
        subprocess.run([sys.argv[1], folder], check=True)
        pages = sorted(glob.glob(os.path.join(folder, "*.html")))
        bad = os.path.join(folder, "bad")
        with open(pages[0], encoding="utf-8") as file:
            text = file.read()
        with open(bad + ".html", "w", encoding="utf-8") as file:  # must be found
            file.write(text.replace("<h1>", "<h1><img src='x.png'>"))
        print(f"1..{len(pages) + 1}")
        spoiled = []
        browser.look()
        browser.open(bad + ".html")
        check_quiet(browser, spoiled)
        check_barriers(browser, axe, spoiled)
        found = any("image-alt" in one for one in spoiled) and any("asked" in one or "complaint" in one
                                                                   for one in spoiled)
        print(f"{'ok' if found else 'not ok'} 1 - a page with a barrier and a request is found")
        failed = not found or not pages
        for number, path in enumerate(pages, 2):
            problems = check(browser, axe, path, pictures)
            failed |= bool(problems)
            for problem in problems[:12]:
                print("# " + problem.replace("\n", " ")[:600])
            print(f"{'not ok' if problems else 'ok'} {number} - {os.path.basename(path)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
