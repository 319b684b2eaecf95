"""Validates YAML documents with an independent implementation of JSON Schema.

Arguments: a file with {"schema": path, "documents": [[name, text], ...]} in each element of a list.
Prints a line a document: `valid NAME`, or `refused NAME: where: why`.
"""

import json
import re
import sys

import jsonschema
import yaml


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read it: `no` and `12:30` are texts."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))

for job in json.load(open(sys.argv[1])):
    schema = json.load(open(job["schema"]))
    kind = jsonschema.Draft7Validator
    kind.check_schema(schema)
    validator = kind(schema)
    for name, text in job["documents"]:
        error = jsonschema.exceptions.best_match(validator.iter_errors(yaml.load(text, Core)))
        if error is None:
            print(f"valid {name}")
        else:
            where = "/".join(str(part) for part in error.absolute_path)
            print(f"refused {name}: {where}: {error.message[:200]}")
