"""The template as CloudFormation gets it, and AWS's tools without AWS."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.lambda_.emulator import ROOT, TOOLS

TEMPLATE = ROOT / "infra/aws/template.yaml"
REGION = "us-east-1"
OFFLINE = {
    "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true", "SAM_CLI_TELEMETRY": "0",
}  # fmt: skip


NOT_IN_MOTO = {
    "AWS::Budgets::Budget", "AWS::CloudWatch::Alarm", "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup", "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Lambda::Version", "AWS::Logs::MetricFilter",
}  # fmt: skip
"""What moto's CloudFormation does not make; it has no HTTP API either, which a function URL does without."""

TRANSLATE = """
import json, sys
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform
template = yaml_parse(open(sys.argv[1]).read())
for name in ("Function", "Sweeper"):
    template["Resources"][name]["Properties"]["CodeUri"] = "s3://artefacts/code.zip"
parameters, loader = json.loads(sys.argv[2]), type("None_", (), {"load": lambda self: {}})
print(json.dumps(transform(template, parameters, loader())))
"""


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **OFFLINE, **environ}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@cache
def translated(**parameters: str) -> dict[str, Any]:
    """The template as CloudFormation gets it from SAM, which fills in some of the `parameters` itself."""
    done = run(TOOLS / "bin/python", "-c", TRANSLATE, TEMPLATE, json.dumps(parameters))
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def deployable(**parameters: str) -> dict[str, Any]:
    """The same without what moto cannot make; what the alias would be given the function is."""
    whole = json.dumps(translated(**parameters))
    for name in ("Function", "Sweeper"):
        whole = whole.replace(f'{{"Ref": "{name}Aliaslive"}}', f'{{"Fn::GetAtt": ["{name}", "Arn"]}}')
    template = json.loads(whole)
    resources = {name: one for name, one in template["Resources"].items() if one["Type"] not in NOT_IN_MOTO}
    outputs = {name: one for name, one in template["Outputs"].items() if name != "Address"}
    return {**template, "Resources": resources, "Outputs": outputs}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = translated()["Resources"][name]["Properties"]
    return found
