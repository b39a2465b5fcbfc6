#!/usr/bin/env python3
"""Every sample page is well formed, asks nobody for anything, and stays small.

usage: check_html.py MAKE_PAGES
MAKE_PAGES FOLDER writes the pages. Prints TAP. It first spoils a page in each way that it looks for,
and must find each.
"""

import base64
import glob
import gzip
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile

VOID = {"meta", "br", "hr", "img", "input", "link"}
SVG_EMPTY = {"line", "rect", "path"}
MAX_PAGE, MAX_SCRIPT = 1_000_000, 10_240
# A page may name no other place: neither by an attribute that loads nor in its style.
LOADS = re.compile(r"\b(src|srcset|action|formaction|data|poster|xlink:href)\s*=|@import|url\(|https?:",
                   re.IGNORECASE)


class Page(html.parser.HTMLParser):
    """Collects what is wrong with the structure; HTML's own parser would mend it in silence."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.ids, self.links = [], [], {}, []
        self.raw = {"script": [], "style": []}
        self.policy, self.headings, self.labels = "", [], []
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"not closed: {self.open}")

    def complain(self, words):
        self.problems.append(f"line {self.getpos()[0]}: {words}")

    def take(self, tag, attributes):
        names = [name for name, _ in attributes]
        if len(set(names)) != len(names):
            self.complain(f"<{tag}> has an attribute twice")
        for name, value in attributes:
            if value is None and name not in ("open", "hidden"):
                self.complain(f"<{tag} {name}> has no value")
            if name.startswith("on") or name == "style":
                self.complain(f"<{tag} {name}> would need an unsafe policy")
            if name == "id":
                if value in self.ids:
                    self.complain(f"the id {value} is used twice")
                self.ids[value] = tag
            if name == "href":
                self.links.append(value)
            if name in ("aria-labelledby", "aria-describedby"):
                self.labels.append(value)
            if name == "content" and ("http-equiv", "Content-Security-Policy") in attributes:
                self.policy = value
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_starttag(self, tag, attributes):
        self.take(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.raw:
            self.raw[tag].append([dict(attributes).get("type"), ""])

    def handle_startendtag(self, tag, attributes):
        self.take(tag, attributes)
        if tag not in VOID | SVG_EMPTY:
            self.complain(f"<{tag}/> is not empty in HTML")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.complain(f"</{tag}> ends nothing that is open")

    def handle_data(self, data):
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1][1] += data
        elif "<" in data and re.search(r"</?(script|style|section|td|svg)", data):
            pass  # text that was escaped, and is text


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def documents(code):
    """One, or, of a history, one a line."""
    return code.strip().split("\n") if code.startswith('\n{"schema"') else [code]


def check(text):
    """All problems of one page."""
    page = Page(text)
    problems = page.problems
    own = [code for kind, code in page.raw["script"] if kind is None]
    data = [code for kind, code in page.raw["script"] if kind == "application/json"]
    packed = [code for kind, code in page.raw["script"] if kind == "application/gzip"]
    if not text.startswith("<!DOCTYPE html>\n"):
        problems.append("no doctype")
    for wanted in ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]:
        if wanted not in page.policy:
            problems.append(f"the policy lacks {wanted}")
    for code in own + [code for _, code in page.raw["style"]]:
        if digest(code) not in page.policy:
            problems.append("the policy does not know a script or style of the page")
    if "unsafe" in page.policy:
        problems.append("the policy allows what is unsafe")
    if len(own) != 1 or sum(map(len, own)) > MAX_SCRIPT:
        problems.append(f"{len(own)} scripts of {sum(map(len, own))} bytes")
    without_data = text
    for code in data:
        for document in documents(code):
            json.loads(document)
        if "<" in code:
            problems.append("'<' in the data")
        without_data = without_data.replace(code, "")
    for code in packed:
        json.loads(gzip.decompress(base64.b64decode(code.strip(), validate=True)))
    if not data + packed:
        problems.append("no data")
    for link in page.links:
        if not link.startswith("#") or link[1:] not in page.ids:
            problems.append(f"a link to nothing: {link}")
    for label in page.labels:
        if label not in page.ids:
            problems.append(f"a label that is not there: {label}")
    if page.headings.count(1) != 1 or any(b > a + 1 for a, b in zip(page.headings, page.headings[1:])):
        problems.append(f"headings out of order: {page.headings}")
    for match in LOADS.finditer(re.sub(r">[^<]*<", "><", re.sub(
            r"(?s)<script>.*?</script>", "", without_data))):
        problems.append(f"names another place: {match.group()}")
    style = "".join(code for _, code in page.raw["style"])
    if LOADS.search(style):
        problems.append("the style names another place")
    if len(text.encode()) > MAX_PAGE:
        problems.append(f"{len(text.encode())} bytes")
    if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", without_data):
        problems.append("a control character")
    return problems


def spoiled(text):
    """(what, page) pairs, each with one fault."""
    yield "a tag left open", text.replace("</section>", "", 1)
    yield "a raw <script>", text.replace("<h1>", "<h1><script>alert(1)</script>", 1)
    yield "a handler", text.replace("<h1>", '<h1 onclick="alert(1)">', 1)
    yield "a picture from elsewhere", text.replace("<h1>", '<h1><img src="//x/y.png">', 1)
    yield "a changed style", text.replace("<style>", "<style> ", 1)
    yield "a style from elsewhere", text.replace("<style>", "<style>@import 'x';", 1)
    yield "an id used twice", text.replace("<h1>", '<h1 id="main">', 1)
    yield "no policy", text.replace("Content-Security-Policy", "x", 1)
    yield "a second h1", text.replace("<h2", "<h1></h1><h2", 1)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_html.py MAKE_PAGES")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        pages = {}
        for path in sorted(glob.glob(os.path.join(folder, "*.html"))):
            with open(path, encoding="utf-8", newline="") as file:
                pages[os.path.basename(path)] = file.read()
    faults = list(spoiled(pages["mixed.html"]))
    print(f"1..{len(pages) + len(faults)}")
    failed = not pages
    for number, (what, text) in enumerate(faults, 1):
        found = bool(check(text))
        failed |= not found
        print(f"{'ok' if found else 'not ok'} {number} - {what} is found")
    for number, (name, text) in enumerate(pages.items(), len(faults) + 1):
        problems = check(text)
        failed |= bool(problems)
        for problem in problems[:10]:
            print(f"# {problem}")
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
