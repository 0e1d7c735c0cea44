"""Holds infra/azure against the types that Microsoft publishes for Bicep: names, kinds, values of properties.

``python checks/bicep_types.py`` compares with the copy of the facts in bicep_types.json; ``--write`` makes
that copy anew from the package that carries them, which needs npm and 60 MB. Only the objects that the
templates use are in it, each with all of its properties.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

ROOT = Path(__file__).parents[1]
FACTS = Path(__file__).with_suffix(".json")
PACKAGE = "@azure/mcp-linux-x64@2.0.5"

NO_FACTS = {
    "Microsoft.Authorization/locks",
    "Microsoft.Insights/actionGroups",
    "Microsoft.Insights/metricAlerts",
    "Microsoft.Insights/scheduledQueryRules",
}
"""Types that the package knows by name only."""

NEWER = {
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.DocumentDB/databaseAccounts/tables",
    "Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments",
}
"""Types of which the templates use a later version than the facts are of: roles on tables have no other."""

BICEPS_OWN = {"parent", "scope", "dependsOn"}

Object: TypeAlias = "list[tuple[str, Value]]"
Facts: TypeAlias = "dict[str, Any]"


class Value(NamedTuple):
    """An expression: the objects and arrays in it, and its text if it is one word, number or string."""

    objects: list[Object]
    arrays: list[list[Value]]
    word: str | None
    within_call: bool


class Resource(NamedTuple):
    type: str
    version: str
    existing: bool
    body: Object


class Template:
    """The resources of a Bicep file, and the kinds of its parameters."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r"'(?:\\.|[^'\\])*'|[\w.]+|[^\S\n]+|//[^\n]*|\n|==|.", text)
        self._tokens = [one for one in self._tokens if not one.isspace() or one == "\n"]
        self._tokens = [one for one in self._tokens if not one.startswith("//")]
        self.parameters = dict(re.findall(r"^param (\w+) (\w+)", text, re.MULTILINE))
        self.resources = list(self._found())

    def _found(self) -> Iterator[Resource]:
        for at, word in enumerate(self._tokens):
            if word == "resource" and self._tokens[at + 2].startswith("'"):
                kind, _, version = self._tokens[at + 2].strip("'").partition("@")
                begin = at + self._tokens[at:].index("{")
                body, _ = self._object(begin)
                yield Resource(kind, version, "existing" in self._tokens[at:begin], body)

    def _object(self, at: int) -> tuple[Object, int]:
        """The object whose brace is at `at`, and where it ends."""
        found: Object = []
        at += 1
        while self._tokens[at] != "}":
            if self._tokens[at] in {"\n", ","}:
                at += 1
                continue
            name = self._tokens[at].strip("'")
            value, at = self._value(at + 2)
            found.append((name, value))
        return found, at + 1

    def _array(self, at: int) -> tuple[list[Value], int]:
        found: list[Value] = []
        at += 1
        while self._tokens[at] != "]":
            if self._tokens[at] in {"\n", ","}:
                at += 1
                continue
            value, at = self._value(at)
            found.append(value)
        return found, at + 1

    def _value(self, at: int) -> tuple[Value, int]:
        objects: list[Object] = []
        arrays: list[list[Value]] = []
        words: list[str] = []
        depth, within = 0, False
        while depth or self._tokens[at] not in {"\n", ",", "}", "]"}:
            lexeme = self._tokens[at]
            if lexeme == "{":
                one, at = self._object(at)
                objects.append(one)
                within |= depth > 0
            elif lexeme == "[":
                several, at = self._array(at)
                arrays.append(several)
            else:
                depth += (lexeme == "(") - (lexeme == ")")
                words.append(lexeme)
                at += 1
        return Value(objects, arrays, words[0] if len(words) == 1 and not objects else None, within), at


class Check:
    """Compares resources with `facts`, and notes in `used` which types of them were asked for."""

    def __init__(self, facts: Facts, parameters: dict[str, str]) -> None:
        self._facts = facts
        self._parameters = parameters
        self.used: dict[str, set[str]] = {}

    def faults(self, resource: Resource) -> Iterator[str]:
        known = self._facts.get(resource.type)
        if known is None:
            if resource.type not in NO_FACTS:
                yield f"{resource.type} is no type, or the facts are to be written anew"
            return
        if resource.version != known["version"] and resource.type not in NEWER:
            yield f"{resource.type}@{resource.version}: the facts are of {known['version']}"
        body = [one for one in resource.body if one[0] not in BICEPS_OWN]
        self._types = known["types"]
        self._seen = self.used.setdefault(resource.type, set())
        yield from self._object(body, "body", resource.type, partial=resource.existing)

    def _object(self, body: Object, kind: str, path: str, *, partial: bool) -> Iterator[str]:
        self._seen.add(kind)
        if kind not in self._types:
            yield f"{path}: nothing is known of {kind}; write the facts anew"
            return
        shape = self._types[kind]
        if "by" in shape:
            word = next((value.word for name, value in body if name == shape["by"]), None)
            chosen = (word or "").strip("'")
            if chosen not in shape["choices"]:
                yield f"{path}.{shape['by']} is one of {', '.join(shape['choices'])}, not {word}"
                return
            shape = shape["choices"][chosen]
        known = shape["properties"]
        for name, value in body:
            if name in known:
                if "ReadOnly" in known[name]:
                    yield f"{path}.{name} is read only"
                yield from self._value(value, known[name][0], f"{path}.{name}")
            elif shape["others"] is None:
                yield f"{path} has no property {name}; it has {', '.join(sorted(known))}"
        given = {name for name, _ in body}
        missing = [name for name, said in known.items() if "Required" in said and name not in given]
        if missing and not partial:
            yield f"{path} lacks {', '.join(missing)}"

    def _value(self, value: Value, kind: str, path: str) -> Iterator[str]:
        parts = kind.split(" | ")
        is_array, is_object = kind.endswith("[]"), kind in self._types
        if value.word is not None:
            yield from self._word(value.word, parts, path, structured=is_array or is_object)
        if value.objects and not is_object and "any" not in parts and not is_array:
            yield f"{path} is {kind}, not an object"
        for one in value.objects if is_object else ():
            yield from self._object(one, kind, path, partial=value.within_call)
        if value.arrays and not is_array and "any" not in parts and not value.objects:
            yield f"{path} is {kind}, not an array"
        for item in (item for array in value.arrays if is_array for item in array):
            yield from self._value(item, kind.removesuffix("[]"), f"{path}[]")

    def _word(self, word: str, parts: list[str], path: str, *, structured: bool) -> Iterator[str]:
        kind = self._kind(word)
        if kind is None or "any" in parts:
            return
        wanted = {"int": "int", "bool": "bool"}.get(parts[0], "string")
        if structured or kind != wanted:
            yield f"{path} is {' | '.join(parts)}, not {kind}"
            return
        # Where further values are allowed, one that Microsoft does not name is taken for a misspelt one.
        open_ended = parts == ["string"] or "${" in word or not word.startswith("'")
        if not open_ended and word.strip("'") not in parts:
            yield f"{path} is {' | '.join(parts)}, not {word}"

    def _kind(self, word: str) -> str | None:
        if word.startswith("'"):
            return "string"
        if word.isdigit():
            return "int"
        if word in {"true", "false"}:
            return "bool"
        return self._parameters.get(word)


def checked(text: str, facts: Facts) -> tuple[list[str], dict[str, set[str]], int]:
    """What is wrong with a template, which types of the facts it used, and how many resources it has."""
    template = Template(text)
    check = Check(facts, template.parameters)
    faults = [fault for resource in template.resources for fault in check.faults(resource)]
    return faults, check.used, len(template.resources)


def published(kinds: set[str]) -> Facts:
    """All that the package says of these types."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        [packed] = Path(folder).glob("*.tgz")
        subprocess.run(["tar", "xzf", packed.name], cwd=folder, check=True)
        program = f"{folder}/package/dist/azmcp"
        facts: Facts = {}
        for kind in sorted(kinds):
            command = [program, "bicepschema", "get", "--resource-type", kind]
            environ = {"HOME": folder, "PATH": "/usr/bin:/bin", "AZURE_MCP_COLLECT_TELEMETRY": "false"}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
            facts[kind] = _fact(kind, json.loads(done.stdout)["results"]["BicepSchemaResult"])
    return facts


def _fact(kind: str, said: list[dict[str, Any]]) -> dict[str, Any]:
    [resource] = [one for one in said if one["$type"] == "Resource"]
    types = {one["name"]: _shape(one) for one in said if one["$type"] in {"Object", "DiscriminatedObject"}}
    name, _, version = resource["name"].partition("@")
    if name != kind:
        sys.exit(f"{kind} is {name} to {PACKAGE}")
    return {"version": version, "types": {**types, "body": _shape(resource["bodyType"])}}


def _shape(said: dict[str, Any]) -> dict[str, Any]:
    if said["$type"] == "DiscriminatedObject":
        by, choices = said["discriminator"], {}
        for one in said["elements"]:
            shape = _shape(one)
            [word] = shape["properties"][by][:1]
            shape["properties"] |= _shape({**said, "$type": "Object", "properties": said["baseProperties"]})[
                "properties"
            ]
            choices[word] = shape
        return {"by": by, "choices": choices}
    properties = {
        one["name"]: [
            one["type"],
            *(flag for flag in one.get("flags", "").split(", ") if flag in {"Required", "ReadOnly"}),
        ]
        for one in said["properties"]
    }
    return {"properties": properties, "others": said.get("additionalPropertiesType")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make the copy of the facts anew")
    arguments = parser.parse_args()
    texts = {path.name: path.read_text() for path in sorted((ROOT / "infra/azure").glob("*.bicep"))}
    if arguments.write:
        kinds = {one.type for text in texts.values() for one in Template(text).resources} - NO_FACTS
        facts = published(kinds)
        used: dict[str, set[str]] = {}
        for text in texts.values():
            for kind, names in checked(text, facts)[1].items():
                used.setdefault(kind, set()).update(names)
        for kind, fact in facts.items():
            fact["types"] = {name: one for name, one in fact["types"].items() if name in used.get(kind, ())}
        kept = {"source": f"npm {PACKAGE}", "date": f"{datetime.now(UTC):%Y-%m-%d}", "facts": facts}
        FACTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    facts = json.loads(FACTS.read_text())["facts"]
    faults, count = [], 0
    for name, text in texts.items():
        found, _, resources = checked(text, facts)
        faults += [f"{name}: {fault}" for fault in found]
        count += resources
    print("\n".join(faults) if faults else f"bicep types: {count} resources hold")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
