#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hold JSON documents against the schemas that the program prints. Needs python3-jsonschema, and so Debian's Python.

validate_json.py PROGRAM <LINES     each line: [schema, "document" or "line", text of one or more documents, name]

Prints what is wrong, a line each, and exits 1; else how many documents were right.
"""

import copy
import json
import subprocess
import sys

import jsonschema


def documents(text):
    """One JSON document after another."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        while at < len(text) and text[at].isspace():
            at += 1


def line_schema(schema):
    """The schema of a line of --json-lines, by the rule that `schema --help` gives."""
    schema = copy.deepcopy(schema)
    element = schema["properties"].pop(schema["x-lines"])["items"]
    schema["required"].remove(schema["x-lines"])
    schema["properties"]["end"] = {"const": True}
    schema["required"].append("end")
    definitions = schema.pop("$defs", {})
    end = {key: schema[key] for key in ("type", "properties", "required", "additionalProperties")}
    return {"$schema": schema["$schema"], "oneOf": [element, end], "$defs": definitions}


class Validators:
    """One for each schema and kind of text, made when it is first asked for."""

    def __init__(self, program):
        self._program = program
        self._known = {}

    def get(self, name, kind):
        """A validator of whole documents, or of lines."""
        if (name, kind) not in self._known:
            schema = json.loads(subprocess.run([self._program, "schema", name], check=True, stdout=subprocess.PIPE,
                                               timeout=60).stdout)
            jsonschema.Draft202012Validator.check_schema(schema)
            schema = line_schema(schema) if kind == "line" else schema
            self._known[name, kind] = jsonschema.Draft202012Validator(schema)
        return self._known[name, kind]


def complaints(validators, schema, kind, text, name):
    """What is wrong with a text, and how many documents it has."""
    wrong, count = [], 0
    try:
        for document in documents(text):
            count += 1
            for error in validators.get(schema, kind).iter_errors(document):
                inner = "; ".join(each.message[:200] for each in (error.context or [])[:6])
                wrong.append(f"{name}: document {count}, {'/'.join(map(str, error.absolute_path))}: "
                             f"{error.message[:300]} {inner}")
    except ValueError as error:
        wrong.append(f"{name}: no JSON: {error}")
    return wrong or ([] if count else [f"{name}: nothing"]), count


def main():
    """Every line of standard input."""
    validators, wrong, count = Validators(sys.argv[1]), [], 0
    for line in sys.stdin:
        found, documents_seen = complaints(validators, *json.loads(line))
        wrong += found
        count += documents_seen
    print("\n".join(wrong[:50]) if wrong else f"{count} documents are as their schemas say")
    sys.exit(1 if wrong else 0)


main()
