"""Reads infra/azure as checkov's parser understands it, and works out what an expression comes to.

The parser does not tell a name from a string that reads the same: here it is a name where there is one.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-azure-tools"
INFRA = ROOT / "infra/azure"

_PARSE = """
import json, pathlib, sys, pycep, yaml
*templates, project = map(pathlib.Path, sys.argv[1:])
parse = pycep.BicepParser().parse
print(json.dumps({
    **{path.stem: parse(text=path.read_text()) for path in templates},
    "azure": yaml.safe_load(project.read_text()),
}))
"""
_PART = re.compile(r"\$\{([^}]*)\}")


@cache
def parsed() -> dict[str, Any]:
    """Both templates and azure.yaml."""
    command = [str(TOOLS / "bin/python"), "-c", _PARSE]
    command += [str(path) for path in (*INFRA.glob("*.bicep"), ROOT / "azure.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def defaults() -> dict[str, Any]:
    """The parameters of main.bicep and what they are if nobody says."""
    return {name: one["default"] for name, one in parsed()["main"]["parameters"].items()}


class Deployment:
    """A template with parameters: the resources that it makes, and what their properties are."""

    def __init__(self, template: str = "main", /, **parameters: Any) -> None:
        self._template = parsed()[template]
        variables = self._template.get("variables", {})
        self._names = {name: one["value"] for name, one in variables.items()}
        self._names |= {**defaults(), "token": "0abcdefghijkl"} if template == "main" else {}
        self._names |= parameters
        self._resources: dict[str, Any] = self._template["resources"]

    def module(self, name: str) -> Deployment:
        """A template that this one makes, with the parameters that it is given."""
        given = self._template["modules"][name]["config"]["params"]
        return Deployment(name, **{key: self.value(one) for key, one in given.items()})

    def resource(self, name: str) -> dict[str, Any] | None:
        """What is said of a resource; None if it is not made."""
        said = self._resources[name]["config"]
        if "condition" in said and not self.value(said["condition"]):
            return None
        return {key: self.value(one) for key, one in self._said(name).items()}

    def full_names(self) -> dict[str, str]:
        """The name of every resource behind those of its parents, whether it is made or not."""
        return {name: self._full_name(name) for name in self._resources}

    def _full_name(self, name: str) -> str:
        said = self._said(name)
        above = f"{self._full_name(said['parent'])}/" if "parent" in said else ""
        return f"{above}{self.value(said['name'])}"

    def _said(self, name: str) -> dict[str, Any]:
        said: dict[str, Any] = self._resources[name]["config"]
        return said["config"] if "condition" in said else said

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.value(one) for one in node]
        if isinstance(node, str):
            if node in self._names:
                return self.value(self._names[node]) if self._names[node] != node else node
            return _PART.sub(lambda part: str(self.value(part[1])), node)
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("operator"), dict):
            return self._operator(node["operator"]["type"], node["operator"]["operands"])
        if "function" in node:
            return self._function(node["function"]["type"], list(node["function"]["parameters"].values()))
        return {key.strip("'"): self.value(one) for key, one in node.items()}

    def _operator(self, kind: str, operands: dict[str, Any]) -> Any:
        if kind == "conditional":
            chosen = "true_value" if self.value(operands["condition"]) else "false_value"
            return self.value(operands[chosen])
        if kind == "property_accessor":
            if operands["operand_2"] == "name":
                return self.value(self._said(operands["operand_1"])["name"])
            return f"<{operands['operand_1']}>"
        first, *others = (self.value(one) for one in operands.values())
        if kind == "not":
            return not first
        if kind == "equals":
            return first == others[0]
        if kind == "greater_than":
            return first > others[0]
        if kind == "and":
            return first and others[0]
        raise NotImplementedError(kind)

    def _function(self, kind: str, arguments: list[Any]) -> Any:
        if kind == "empty":
            return not self.value(arguments[0])
        if kind == "contains":
            return self.value(arguments[1]) in self.value(arguments[0])
        if kind == "union":
            return {key: one for part in arguments for key, one in self.value(part).items()}
        return f"<{kind}>"
