#!/usr/bin/env python3
"""The sample pages in a real browser: no request, no complaint, no barrier, and the keys work.

usage: check_page.py MAKE_PAGES [FOLDER]
Pictures are taken in any case: light, dark, narrow, narrow and dark, and a print. FOLDER receives
them. Ends with 77, a skip with its reason, without Chromium (Debian: chromium; MISTRAL_TEST_CHROMIUM names
another) or where it does not start, without axe-core (the wheel axe-playwright-python or axe-core-python;
MISTRAL_TEST_AXE names an axe.min.js, or a folder with one somewhere in it: a virtual environment, or what
pip install --target made), and where MISTRAL_TEST_NO_BROWSER says why it is not wanted. Once Chromium has
started, whatever goes wrong is a failure, a page that takes it minutes among it. Prints TAP.
"""

import glob
import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chromium  # noqa: E402

NARROW_RULES = ["target-size", "scrollable-region-focusable"]  # what a narrow window changes
# Pages that are parts of another, or have more of the same: axe is slow.
IN_BOTH = ("mixed", "times", "history", "deep", "many")
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


def check_barriers(browser, axe, problems, rules=None):
    """By axe, of all that can be unfolded. Of each table the first rows, and of each chart the first
    texts, which the others are like: axe takes as long for the last of a thousand as for the first."""
    browser.evaluate(axe + "; 0")
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true),"
                     " document.querySelectorAll('tbody').forEach(b =>"
                     " [...b.rows].slice(3).forEach(row => row.remove())),"
                     " document.querySelectorAll('.plot').forEach(p => [...p.querySelectorAll("
                     "'.pt, .grid, .hatch, .tick text:nth-child(n + 4)')].forEach(e => e.remove()))")
    only = ", runOnly: " + json.dumps(rules) if rules else ""
    result = json.loads(browser.evaluate(
        "axe.run(document, {resultTypes: ['violations'], preload: false" + only + "}).then(r =>"
        " JSON.stringify(r.violations.map("
        "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])))"))
    problems += [f"axe: {rule} on {n} nodes: {node} {words}" for rule, n, node, words in result]


def check_width(browser, width, problems):
    """No page that must be moved sideways, and no chart: what is wide scrolls in a place of its own,
    which the keyboard reaches."""
    found = browser.evaluate("document.scrollingElement.scrollWidth")
    if found > width:
        problems.append(f"the page is {found} pixels wide in a window of {width}")
    problems += [f"the chart is wider than its place: {name}" for name in browser.evaluate(
        "[...document.querySelectorAll('.plot')].filter(p => p.scrollWidth > p.clientWidth + 1)"
        ".map(p => p.getAttribute('aria-label'))")]
    problems += [f"scrolls, and no key reaches it: {name}" for name in browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0 &&"
        " !e.querySelector('a, button')).map(e => e.className)")]


def check_text(browser, least, problems):
    """The letters of every chart, as large as they come out on the screen, and inside of it."""
    small = json.loads(browser.evaluate(
        "JSON.stringify([...document.querySelectorAll('.plot svg')].map(svg => {"
        " const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;"
        " const sizes = [...svg.querySelectorAll('text')].map(t =>"
        "  parseFloat(getComputedStyle(t).fontSize) * scale);"
        " return [svg.getAttribute('aria-label'), Math.min(99, ...sizes)]; }))"))
    problems += [f"text of {size:.1f} pixels: {name}" for name, size in small if not size >= least]
    problems += [f"text is cut: {words}" for words in browser.evaluate(
        "[...document.querySelectorAll('.plot svg')].flatMap(svg => {"
        " const box = svg.getBoundingClientRect();"
        " return [...svg.querySelectorAll('text')].filter(t => { const at = t.getBoundingClientRect();"
        "  return at.left < box.left - 2 || at.right > box.right + 2 || at.top < box.top - 2 ||"
        "   at.bottom > box.bottom + 2; }).map(t => t.textContent); })")]
    problems += [f"one text lies on another: {words}" for words in browser.evaluate(
        "[...document.querySelectorAll('.plot svg')].flatMap(svg => {"
        " const all = [...svg.querySelectorAll('text')].slice(0, 400).map(t =>"
        "  [t.textContent, t.getBoundingClientRect()]), out = [];"
        " all.forEach(([text, a], i) => all.slice(i + 1).forEach(([other, b]) => {"
        "  const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);"
        "  const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);"
        "  if (w > 1.5 && h > 4) out.push(text + ' / ' + other); }));"
        " return out; })")]


def corner(png):
    """Width, height, and red, green, blue of the first pixel, which no filter of PNG changes."""
    width, height = struct.unpack(">II", png[16:24])
    at, data = 8, b""
    while at < len(png):
        size, = struct.unpack(">I", png[at:at + 4])
        if png[at + 4:at + 8] == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += 12 + size
    return width, height, tuple(zlib.decompressobj().decompress(data, 4)[1:4])


def check_picture(png, width, dark, problems):
    """A picture of that width, on the ground that was asked for, with something in it."""
    found, height, pixel = corner(png)
    if found != width or (max(pixel) > 60 if dark else min(pixel) < 200):
        problems.append(f"a picture {found} wide on {pixel}: expected {width}, "
                        f"{'dark' if dark else 'light'}")
    if len(png) < found * height // 100:
        problems.append(f"a picture with nothing in it: {len(png)} bytes")


def tip_of(browser):
    return browser.evaluate("(t => t.hidden ? '' : t.textContent)(document.querySelector('.tip'))")


def walk(browser, problems):
    """The chart that has the focus: every point is one step, and its words are in the window."""
    n = browser.evaluate("parseInt((document.activeElement.getAttribute('aria-description') || '0')"
                         ".replace(/[^0-9]+/g, ''))")
    browser.press("Home")
    first, before = tip_of(browser), browser.evaluate("document.activeElement.className")
    if not first:
        problems.append("Home says nothing")
    if n <= 60:
        for _ in range(n):
            browser.press("ArrowRight")
        if tip_of(browser) != first:
            problems.append(f"{n} steps do not lead round {n} points: {first!r}, {tip_of(browser)!r}")
    browser.press("End")
    last = tip_of(browser)
    browser.press("ArrowRight")
    if tip_of(browser) != first:
        problems.append(f"after the last point comes {tip_of(browser)!r}, expected {first!r}")
    browser.press("ArrowLeft")
    if tip_of(browser) != last or before != "plot":
        problems.append(f"a step back leads to {tip_of(browser)!r}, expected {last!r}")
    outside = browser.evaluate(
        "(b => b.left < 0 || b.right > innerWidth || b.top < 0 || b.bottom > innerHeight)"
        "(document.querySelector('.tip').getBoundingClientRect())")
    if outside:
        problems.append("the words of a point are outside of the window")
    if browser.evaluate("document.querySelectorAll('.at').length") != 1:
        problems.append("not one point is marked")
    browser.press("Escape")
    if tip_of(browser):
        problems.append("Escape does not close the tip")


def check_keys(browser, problems):
    """A chart is one stop of the Tab key; arrows walk its points, Escape ends; a heading sorts."""
    n_charts = browser.evaluate("document.querySelectorAll('.plot').length")
    walked, stops = set(), 0
    browser.evaluate("document.body.focus()")
    while n_charts and stops < 400 and len(walked) < min(n_charts, 8):
        browser.press("Tab")
        stops += 1
        at = browser.evaluate("[...document.querySelectorAll('.plot')].indexOf(document.activeElement)")
        if at in walked:
            break
        if at >= 0:
            walked.add(at)
            if browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none":
                problems.append("the chart that has the focus does not show it")
            walk(browser, problems)
    if len(walked) < min(n_charts, 8):
        problems.append(f"the Tab key reaches {len(walked)} of {n_charts} charts in {stops} steps")
    sorts = browser.evaluate(
        "(() => { const b = document.querySelector('th button'); if (!b) return 'none';"
        " b.click(); return b.parentNode.getAttribute('aria-sort'); })()")
    if sorts not in ("none", "ascending"):
        problems.append(f"a heading does not sort: {sorts}")


def check_print(browser, path, problems):
    """On paper nothing of a table or a chart may be missing, and no tool is shown. Returns a PDF."""
    browser.look(760, 1100, True, media="print")
    browser.open(path)
    hidden = browser.evaluate("[...document.querySelectorAll('details')].forEach(d => d.open = true),"
                              " [...document.querySelectorAll('th')].filter("
                              "th => th.textContent && !th.innerText.trim()).length")
    if hidden:
        problems.append(f"{hidden} headings of tables are not printed")
    if browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)":
        problems.append("a dark page is printed dark")
    check_width(browser, 760, problems)
    check_text(browser, 9, problems)
    if browser.evaluate("[...document.querySelectorAll('.tools, nav, .copy')].some(e =>"
                        " e.getClientRects().length)"):
        problems.append("tools are printed")
    pdf = browser.print()
    if not pdf.startswith(b"%PDF") or b"/Type /Page" not in pdf:
        problems.append("nothing was printed")
    return pdf


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

    def keep(what, data):
        if pictures:
            with open(os.path.join(pictures, f"{name}{what}"), "wb") as file:
                file.write(data)

    for what, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 400, False),
                              ("narrow-dark", 400, True)):
        browser.look(width, 900, dark)
        browser.open(path)
        check_quiet(browser, problems)
        check_width(browser, width, problems)
        check_text(browser, 10.5, problems)
        if pictures:
            height = browser.evaluate("document.documentElement.scrollHeight")
            browser.look(width, min(height, 12000), dark)
        picture = browser.picture()
        check_picture(picture, width, dark, problems)
        keep(f"-{what}.png", picture)
        if name in IN_BOTH:
            continue
        if what == "light":
            check_barriers(browser, axe, problems)
        elif what == "dark":
            check_barriers(browser, axe, problems, ["color-contrast"])
        elif what == "narrow":
            check_barriers(browser, axe, problems, NARROW_RULES)
    browser.look(1280, 900)
    browser.open(path)
    check_keys(browser, problems)
    keep(".pdf", check_print(browser, path, problems))
    check_without_scripts(browser, path, problems)
    return problems


def check_the_checks(browser, axe, path, folder):
    """A page with a fault of each kind, each of which must be found."""
    bad = os.path.join(folder, "bad")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(bad + ".html", "w", encoding="utf-8") as file:
        file.write(text.replace("<h1>", "<h1><img src='x.png'>"))
    faults = []
    browser.look()
    browser.open(bad + ".html")
    check_quiet(browser, faults)
    check_barriers(browser, axe, faults)
    browser.look(400, 900)
    browser.open(path)
    for fault in ("document.querySelectorAll('svg').forEach(s => { s.style.width = '250px'; })",
                  "document.querySelector('h1').style.minWidth = '500px'",
                  "document.querySelector('svg text').setAttribute('x', 500)",
                  "(t => t[1].replaceWith(t[0].cloneNode(true)))(document.querySelectorAll("
                  "'svg text'))"):
        browser.evaluate(fault)
        check_width(browser, 400, faults)
        check_text(browser, 10.5, faults)
    check_picture(browser.picture(), 400, True, faults)
    return [words for words in ("image-alt", "x.png", "pixels wide", "text of", "text is cut",
                                "lies on another", "expected 400, dark")
            if not any(words in fault for fault in faults)]


def skip(reason):
    print("1..0 # SKIP " + " ".join(reason.split()))
    return 77


def try_page(number, name, find_problems):
    """One test point. Returns whether it failed."""
    try:
        problems = find_problems()
    except RuntimeError as problem:
        problems = [f"{type(problem).__name__}: {problem}"]
    for problem in problems[:12]:
        print("# " + problem.replace("\n", " ")[:600])
    print(f"{'not ok' if problems else 'ok'} {number} - {name}", flush=True)
    return bool(problems)


def check_all(browser, axe, folder, pictures):
    pages = sorted(glob.glob(os.path.join(folder, "*.html")))
    print(f"1..{len(pages) + 1}", flush=True)
    failed = try_page(1, "a page with a fault of each kind is found", lambda: [
        f"not found: {words}" for words in
        check_the_checks(browser, axe, os.path.join(folder, "times.html"), folder)]) or not pages
    for number, path in enumerate(pages, 2):
        failed |= try_page(number, os.path.basename(path),
                           lambda path=path: check(browser, axe, path, pictures))
    return 1 if failed else 0


def main():
    unwanted = os.environ.get("MISTRAL_TEST_NO_BROWSER")
    program, axe = chromium.find(), find_axe()
    if unwanted:
        return skip(unwanted)
    if program is None or axe is None:
        return skip("no " + ("Chromium" if program is None else "axe-core") + " here")
    # A runner that gives up says so with SIGTERM: what was started is ended with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True, timeout=300)
        try:
            browser = chromium.Browser(program).__enter__()
        except chromium.CannotStart as problem:
            return skip(f"Chromium does not start here: {problem}")
        try:
            return check_all(browser, axe, folder, sys.argv[2] if len(sys.argv) > 2 else None)
        finally:
            browser.__exit__()


if __name__ == "__main__":
    sys.exit(main())
