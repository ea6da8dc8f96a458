#!/usr/bin/env python3
"""Makes common/manifest/pod_template_schema.json: what Kubernetes takes as a pod template, as a table of types.

    scripts/pod_template_schema.py             writes the table
    scripts/pod_template_schema.py --check     says whether the table in the tree is the one that would be written

The source is the OpenAPI document inside the Go module k8s.io/kubernetes, at the version that
tests/cluster/programs/go.mod asks for, so the module's checksum is in go.sum. Only facts are taken: types, the names
and types of their fields, what is required, and the words that an enumeration has; no descriptions.

To move to another Kubernetes: change the version there, run this, then `make generate`, which makes
the CustomResourceDefinition anew.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[1]
TABLE = REPO / "common" / "manifest" / "pod_template_schema.json"
MODULES = REPO / "tests" / "cluster" / "programs"
ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
# Part of the type, but refused whenever a pod is created: they are put into a pod that runs. And what only the API
# server writes.
LEFT_OUT = {("PodSpec", "ephemeralContainers"), ("ObjectMeta", "managedFields")}


def module():
    """The version of k8s.io/kubernetes, and the folder that holds it."""
    version, = re.findall(r"^\s*k8s\.io/kubernetes (v\S+)$", (MODULES / "go.mod").read_text(), re.MULTILINE)
    done = subprocess.run(["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"], cwd=MODULES,
                          stdout=subprocess.PIPE, text=True, check=True)
    return version, pathlib.Path(json.loads(done.stdout)["Dir"])


def enumerations(folder):
    """{(type, field): words}. The document leaves them out; the definitions that it is made from have them."""
    words, type_name, field = {}, None, None
    for line in (folder / "pkg/generated/openapi/zz_generated.openapi.go").read_text().splitlines():
        if begin := re.match(r"func schema_k8sio_api_core_v1_(\w+)\(", line):
            type_name = begin[1]
        elif re.match(r"func ", line):
            type_name = None
        elif entry := re.match(r'\t{5}"(\w+)": \{$', line):  # a field of the type itself, not of something in it
            field = entry[1]
        elif found := re.match(r"\t{7}Enum: +\[\]interface\{\}\{(.*)\},$", line):
            if type_name is not None:
                words[type_name, field] = json.loads(f"[{found[1]}]")
    return words


def short(name):
    return name.rsplit(".", 1)[-1]


class Table:
    """Types by name, each a mapping from field to what it takes; see the note that goes into the file."""

    def __init__(self, definitions, words):
        self.definitions, self.words, self.types = definitions, words, {}

    def add(self, full_name):
        name = short(full_name)
        if name in self.types:
            return name
        definition = self.definitions[full_name]
        fields = self.types[name] = {}
        for field, schema in sorted(definition["properties"].items()):
            if (name, field) in LEFT_OUT:
                continue
            text = self.value(schema)
            if enum := self.words.get((name, field)):
                assert text == "string", f"{name}.{field} is {text} and has words"
                text += "=" + "|".join(enum)
            fields[field] = text + ("!" if field in definition.get("required", ()) else "")
        return name

    def value(self, schema):
        if reference := schema.get("$ref"):
            full_name = reference.removeprefix("#/definitions/")
            special = {QUANTITY: "quantity", INT_OR_STRING: "intOrString", TIME: "string"}
            return special.get(full_name) or self.add(full_name)
        match schema["type"]:
            case "array":
                return "[]" + self.value(schema["items"])
            case "object":
                return "{}" + self.value(schema["additionalProperties"])
            case "integer":
                return schema["format"]
            case kind:
                return kind


def make():
    version, folder = module()
    definitions = json.loads((folder / "api/openapi-spec/swagger.json").read_text())["definitions"]
    table = Table(definitions, enumerations(folder))
    root = table.add(ROOT)
    note = ("Made by scripts/pod_template_schema.py. [] is a list of what follows, {} a mapping from text to it, "
            "! after it: required; =a|b: one of these words.")
    lines = [f'"note": {json.dumps(note)}', f'"kubernetes": "{version}"', f'"root": "{root}"']
    types = ",\n".join(f"  {json.dumps(name)}: {json.dumps(fields)}" for name, fields in sorted(table.types.items()))
    return "{" + ",\n".join(lines) + ',\n"types": {\n' + types + "\n}}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the table is an old one")
    check = parser.parse_args().check
    text = make()
    if not check:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"{TABLE.relative_to(REPO)} is not what {pathlib.Path(sys.argv[0]).name} makes: run it")


if __name__ == "__main__":
    main()
