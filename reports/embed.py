#!/usr/bin/env python3
"""Writes html_page.c: the style and the script of the page as C arrays, with the hashes that the
page's Content-Security-Policy names.

usage: embed.py STYLE SCRIPT OUTPUT
"""

import base64
import hashlib
import sys


def array(name, text):
    numbers = ", ".join(str(byte) for byte in text.encode("ascii"))
    digest = base64.b64encode(hashlib.sha256(text.encode("ascii")).digest()).decode()
    return (f"const char mv_html_{name}[] = {{{numbers}, 0}};\n"
            f'const char mv_html_{name}_hash[] = "sha256-{digest}";\n')


def main():
    style, script, output = sys.argv[1:]
    with open(output, "w", encoding="ascii") as file:
        file.write("/* Made by embed.py. */\n#include \"reports/html_parts.h\"\n\n")
        for name, path in (("style", style), ("script", script)):
            with open(path, encoding="ascii") as source:
                text = "\n" + source.read()
            if "</" in text:
                sys.exit(f"{path}: '</' would end the element that it is put into")
            file.write(array(name, text))


if __name__ == "__main__":
    main()
