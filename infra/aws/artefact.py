"""Puts together what runs on AWS Lambda: the dependencies, the package and the handler, and nothing else.

The bytecode in it is that of the Python that runs this, so Lambda's runtime must be of the same version.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

BACKENDS = ("calls.py", "clients.py", "dynamodb")
"""What of chatstore/backends is deployed: the storage that template.yaml names, and what that shares."""

DATABASE = {"backends": "postgres", "engines": "sql"}
"""What a deployment with a database has besides."""

LEFT_OUT = (
    "chatstore/__main__.py", "chatstore/backends", "chatstore/cli", "chatstore/engines/fenced",
    "chatstore/engines/sql", "chatstore/exporting.py",
    "chatstore/importing", "chatstore/integrations", "chatstore/testing",
)  # fmt: skip
"""Parts of the package that no request reaches."""

UNUSED = (
    "[!o]*.dist-info", "bin", "cffi", "pycparser", "pydantic/mypy.py", "pydantic/v1",
    "**/*.pyi", "**/*.h", "**/*.proto",
)  # fmt: skip
"""Parts of the dependencies that no request reaches: `cffi` compiles what `_cffi_backend` beside it runs.
OpenTelemetry finds its own parts by its dist-info."""

BOTOCORE_DATA = ("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json")
"""What botocore reads whichever service it calls, beside the descriptions of some four hundred."""

SERVICES = {"dynamodb": "2012-08-10"}
"""The services that are called, and which version of their descriptions is read for that."""

DATABASE_SERVICES = {"secretsmanager": "2017-10-17"}
"""What a deployment with a database calls besides, for the password."""

PLATFORMS = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}


def build(target: Path, architecture: str, *, database: bool = False) -> None:
    """Fill the folder `target` for Lambda's `architecture`."""
    target.mkdir(parents=True, exist_ok=True)
    _install(target, PLATFORMS[architecture], "requirements-postgres.txt" if database else "requirements.txt")
    for pattern in UNUSED:
        for path in list(target.glob(pattern)):
            _remove(path)
    _slim(target / "botocore/data", {**SERVICES, **(DATABASE_SERVICES if database else {})})
    _copy(ROOT / "chatstore", target / "chatstore")
    for folder, name in DATABASE.items() if database else ():
        shutil.copytree(
            ROOT / "chatstore" / folder / name,
            target / "chatstore" / folder / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "lambda/handler.py", target)
    # Lambda changes the files' times, by which bytecode is usually checked; these are never checked.
    compiled = compileall.compile_dir(
        target, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    if not compiled:
        sys.exit("some modules of the artefact cannot be compiled")


def _install(target: Path, platform: str, requirements: str) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = "--quiet --require-hashes --only-binary :all: --link-mode copy"
    command: list[str | Path] = [ROOT / ".tools/bin/uv", "pip", "install", *options.split()]
    command += ["--target", target, "--python-platform", platform, "--python-version", version]
    subprocess.run([*command, "-r", ROOT / "lambda" / requirements], check=True)


def _slim(data: Path, services: dict[str, str]) -> None:
    """Leave of botocore's descriptions what calls `services`, unpacked: a new instance reads all of it."""
    for path in data.iterdir():
        if path.name not in (*BOTOCORE_DATA, *services):
            _remove(path)
    endpoints = json.loads((data / "endpoints.json").read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in services}
    _write(data / "endpoints.json", endpoints)
    for name, version in services.items():
        _unpack(data / name, version)


def _unpack(service: Path, version: str) -> None:
    for path in service.iterdir():
        if path.name != version:
            _remove(path)
    for path in (service / version).iterdir():
        if path.suffix == ".gz":
            _write(path.with_suffix(""), _undocumented(json.loads(gzip.decompress(path.read_bytes()))))
        if path.suffix == ".gz" or path.name.startswith("examples"):
            _remove(path)


def _undocumented(described: Any) -> Any:
    if isinstance(described, dict):
        return {
            name: _undocumented(one)
            for name, one in described.items()
            if name != "documentation" or not isinstance(one, str)
        }
    return [_undocumented(one) for one in described] if isinstance(described, list) else described


def _write(path: Path, described: Any) -> None:
    path.write_text(json.dumps(described, separators=(",", ":")))


def _copy(source: Path, target: Path) -> None:
    left_out = {ROOT / name for name in LEFT_OUT}

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or Path(folder, name) in left_out]

    shutil.copytree(source, target, ignore=ignored)
    (target / "backends").mkdir()
    for name in ("__init__.py", *BACKENDS):
        one = source / "backends" / name
        if one.is_dir():
            shutil.copytree(one, target / "backends" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(one, target / "backends")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the folder to fill")
    parser.add_argument("--architecture", choices=PLATFORMS, default="arm64", help="(default: arm64)")
    parser.add_argument("--database", action="store_true", help="with what talks to a PostgreSQL")
    arguments = parser.parse_args()
    build(arguments.target.absolute(), arguments.architecture, database=arguments.database)


if __name__ == "__main__":
    main()
