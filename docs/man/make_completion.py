#!/usr/bin/env python3
"""usage: make_completion.py PROGRAM TEMPLATE OUT: fills a template of completion for bash or zsh from
PROGRAM --help. What changes from machine to machine (backends) or version to version (suites,
formats) is asked of mistral-verify --list when a key is pressed.
"""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
from help_options import parse, read_help  # noqa: E402

COMMAND = re.compile(r"^  (?:mistral-[a-z]+ )?([a-z]+) [A-Z\[-]")
WORDS = re.compile(r"^[a-z0-9]+(\|[a-z0-9]+)+$")
LISTED = {"suite": "suites", "backend": "backends", "vs": "backends", "format": "formats"}


def commands(text):
    """The first words of the lines above the options; none for a program without commands."""
    if not text.startswith("Usage:") or " COMMAND" not in text.split("\n")[0]:
        return []
    above = text.split("\nOptions:")[0].split("\n")
    return list(dict.fromkeys(m[1] for m in map(COMMAND.match, above) if m))


def kind(option):
    """What the option's value may be: "", words, a section of --list, model, or file."""
    if not option.value:
        return ""
    if option.long in LISTED:
        return "@" + LISTED[option.long]
    if option.long == "model":
        return "@model"
    if WORDS.match(option.value):
        return option.value.replace("|", " ")
    return "@file" if re.search(r"FILE|PATH|PAGE|\.json", option.value) else "@value"


def bash_cases(options):
    lines = []
    for option in options:
        if kind(option):
            names = f"--{option.long}" + (f"|-{option.short}" if option.short else "")
            lines.append(f"    {names}) what='{kind(option)}' ;;")
    return "\n".join(lines)


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_specs(options):
    actions = {"": "", "@file": ":file:_files", "@value": ":value: ",
               "@model": ":model:_mistral_models"}
    lines = []
    for option in options:
        what = kind(option)
        action = actions.get(what)
        if action is None:
            action = f":name:_mistral_listed {what[1:]}" if what[0] == "@" else f":name:({what})"
        many = "*" if "repeatable" in option.text else ""
        both = f"{many}--{option.long}{'=' if option.value else ''}[{zsh_text(option.text)}]{action}"
        lines.append(f"    '{both}' \\")
        if option.short and option.short != "?":
            lines.append(f"    '{many}-{option.short}[{zsh_text(option.text)}]{action}' \\")
    return "\n".join(lines)


def main():
    program, template, out = sys.argv[1:]
    text = read_help(program)
    options, name = parse(text), pathlib.Path(program).name
    filled = pathlib.Path(template).read_text(encoding="utf-8")
    for key, value in {"@PROGRAM@": name, "@FUNCTION@": "_" + name.replace("-", "_"),
                       "@OPTIONS@": " ".join(f"--{o.long}" for o in options),
                       "@COMMANDS@": " ".join(commands(text)), "@CASES@": bash_cases(options),
                       "@SPECS@": zsh_specs(options)}.items():
        filled = filled.replace(key, value)
    pathlib.Path(out).write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
