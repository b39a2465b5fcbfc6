#!/usr/bin/env python3
"""check_schema.py SCHEMA FILE... - the files obey the JSON Schema, and spoiled copies do not.

Exit code 77 (skip) where the jsonschema module is not installed."""
import copy
import json
import sys

try:
    import jsonschema
    Validator = jsonschema.Draft202012Validator
except (ImportError, AttributeError) as missing:
    print(f"skipped: no jsonschema with draft 2020-12 ({missing})")
    sys.exit(77)


def spoil(document):
    """Copies that each break one rule which a reader relies on."""
    def changed(change):
        other = copy.deepcopy(document)
        change(other)
        return other
    yield "another schema", changed(lambda d: d.update(schema=d["schema"] + "1"))
    yield "an unknown key", changed(lambda d: d.update(extra=1))
    if document["schema"].startswith("mistral-bench/"):
        yield from spoil_bench(document, changed)
        return
    yield "an unknown verdict", changed(lambda d: d.update(verdict="ok"))
    yield "no summary", changed(lambda d: d.pop("summary"))
    if document["cases"]:
        yield "an unknown key in a case", changed(lambda d: d["cases"][0].update(extra=1))
        yield "a null metric", changed(lambda d: d["cases"][0]["metrics"].update(r_row=None))
        yield "a failure without reason", changed(
            lambda d: d["cases"][0].update(verdict="fail", reason=""))
    for i, case in enumerate(document["cases"]):
        if "divergence_profile" in case:
            yield from spoil_profile(i, changed)
            break


def spoil_profile(i, changed):
    def profile(document):
        return document["cases"][i]["divergence_profile"]
    yield "a negative layer", changed(lambda d: profile(d)["ops"][0].update(layer=-1))
    yield "an operation without a name", changed(lambda d: profile(d)["ops"][0].update(op=""))
    yield "a negative error", changed(lambda d: profile(d)["rows"][0].append(-1))
    yield "too many bins", changed(lambda d: profile(d)["outside"].extend([0.5] * 64))
    yield "a profile without sizes", changed(lambda d: profile(d).pop("positions"))


def spoil_bench(document, changed):
    yield "no runs", changed(lambda d: d.pop("runs"))
    if document["runs"]:
        yield "a phase of its own", changed(lambda d: d["runs"][0].update(phase="both"))
        yield "a fraction above 1", changed(lambda d: d["runs"][0].update(fraction_of_limit=1.5))
        yield "a time that is no integer", changed(lambda d: d["runs"][0].update(ttft_ns=1.5))
        yield "a checked run without samples", changed(
            lambda d: d["runs"][0].update(checked=True, samples_ns=[]))
    if document["comparison"]:
        yield "an unknown verdict", changed(lambda d: d["comparison"][0].update(verdict="ok"))


def main(schema_path, *paths):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    Validator.check_schema(schema)
    validator = Validator(schema)
    n_wrong = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        for error in validator.iter_errors(document):
            print(f"{path}: {error.json_path}: {error.message}")
            n_wrong += 1
        for what, spoiled in spoil(document):
            if validator.is_valid(spoiled):
                print(f"{path}: the schema accepts {what}")
                n_wrong += 1
    if not paths:
        print("no file to check")
        n_wrong += 1
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
