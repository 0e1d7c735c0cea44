"""Writes the lock files, and checks that they have hashes, no addresses, and nothing stale or yanked."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What runs or is deployed has the versions that were tested: those of the lock for developing.
AS_TESTED = "--constraint requirements/dev.txt"
LOCKS = {
    "requirements/dev.txt": "--all-extras --group build --group dev",
    "requirements/server.txt": (
        "--extra server --extra cli --extra dynamodb --extra azure-tables --extra tablestore "
        "--extra redis --extra upstash --extra postgres "
        "--extra cloud-sql --extra alloydb "
        f"--group build {AS_TESTED}"
    ),
    "requirements.txt": f"--extra azure-functions --extra telemetry --extra postgres {AS_TESTED}",
    "lambda/requirements.txt": f"--extra aws-lambda --extra telemetry {AS_TESTED}",
    "lambda/requirements-postgres.txt": (
        f"--extra aws-lambda --extra telemetry --extra postgres {AS_TESTED}"
    ),
    "requirements/aws-tools.txt": "--group aws-tools",
    "requirements/aws-runtime.txt": "--group aws-runtime",
    "requirements/bench-azure.txt": f"--group bench-azure {AS_TESTED}",
    "requirements/bench-fastapi.txt": "--group bench-fastapi",
    "requirements/bench-llama-index.txt": "--group bench-llama-index",
    "requirements/peers-llama-index.txt": "--group peers-llama-index",
    "requirements/peers-openai.txt": "--group peers-openai",
    "requirements/audit.txt": "--group audit",
    "requirements/azure-tools.txt": "--group azure-tools",
    # Its packages are for the Python that the cloud runs.
    "requirements/azure-worker.txt": "--group azure-worker --python-version 3.13 --no-deps",
    "requirements/bootstrap.txt": "--group bootstrap",
}

NPM = Path("package-lock.json")

ADDRESS = re.compile(r"://|\bfile:| @ |--(extra-)?index|--find-links|--trusted-host|(^|\s)[/~]")
HASH = re.compile(r" \\\n    --hash=(\S+)")
PIN = re.compile(r"^\S+==.*", re.MULTILINE)
UNREACHABLE = "Failed to fetch"


def compile_lock(name: str, output: Path, *, upgrade: bool = False) -> subprocess.CompletedProcess[str]:
    """Resolve the lock `name` into `output`, keeping the versions that `output` has and that still fit."""
    # Given, rather than left to the project's lower bound: a group alone is resolved without the project.
    options = "--universal --generate-hashes --no-emit-index-url"
    if "--python-version" not in LOCKS[name]:
        options += " --python-version 3.11"
    command = [".tools/bin/uv", "pip", "compile", *options.split(), *LOCKS[name].split()]
    command += ["pyproject.toml"] if "-extra" in LOCKS[name] else []
    command += ["--upgrade"] if upgrade else []
    command += ["--custom-compile-command", "make lock", "--output-file", str(output)]
    return subprocess.run(command, check=False, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def write(*, upgrade: bool) -> str | None:
    """Write every lock file; returns what went wrong."""
    for name in LOCKS:
        done = compile_lock(name, Path(name), upgrade=upgrade)
        if done.returncode:
            return f"{name}: {done.stderr}"
        print(f"wrote {name}")
    command = [
        "npm",
        "install",
        "--package-lock-only",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]
    if subprocess.run(command, check=False).returncode:
        return f"{NPM}: npm could not write it"
    NPM.write_text(bare_npm(NPM.read_text()))
    print(f"wrote {NPM}")
    return None


def check_text(name: str, text: str) -> list[str]:
    """What is wrong with a lock file by itself."""
    found = [
        f"{name}: holds an address or a path: {line}" for line in text.splitlines() if ADDRESS.search(line)
    ]
    return found + [f"{name}: no hash: {pin}" for pin in PIN.findall(text) if not pin.endswith("\\")]


def check_against_index(name: str, text: str) -> list[str]:
    """What is wrong with a lock file in the light of pyproject.toml and of the package index."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, "lock.txt")
        # Without its hashes, so that they come from the index and not from the file under check.
        fresh.write_text(HASH.sub("", text))
        done = compile_lock(name, fresh)
        if UNREACHABLE in done.stderr:
            raise ConnectionError(done.stderr)
        if done.returncode:
            return [f"{name}: {done.stderr}"]
        expected = fresh.read_text()
    found = [f"{name}: {line}" for line in done.stderr.splitlines() if "yanked" in line]
    if HASH.sub("", text) != HASH.sub("", expected):
        found.append(f"{name}: does not agree with pyproject.toml: run make lock")
    elif unknown := set(HASH.findall(text)) - set(HASH.findall(expected)):
        found.append(f"{name}: hashes that the index does not know: {', '.join(sorted(unknown))}")
    return found


def bare_npm(text: str) -> str:
    """npm's lock file without the addresses in what its packages say of themselves."""
    lock = json.loads(text)
    for package in lock["packages"].values():
        for said in ("deprecated", "funding", "license"):
            package.pop(said, None)
    return json.dumps(lock, indent=2, ensure_ascii=False) + "\n"


def check() -> list[str]:
    """What is wrong with the lock files."""
    texts = {name: Path(name).read_text() for name in LOCKS}
    unlisted = {str(path) for path in Path("requirements").iterdir()} - set(LOCKS)
    found = [f"{name}: not a lock file that make lock writes" for name in sorted(unlisted)]
    if "://" in (npm := NPM.read_text()) or "integrity" not in npm:
        found.append(f"{NPM}: holds an address, or no hashes: run make lock")
    for name, text in texts.items():
        found += check_text(name, text)
    try:
        for name, text in texts.items():
            found += check_against_index(name, text)
            print(f"{name}: checked")
    except ConnectionError as error:
        print(f"NOT CHECKED, the package index cannot be reached: stale and yanked versions\n{error}")
        if "CI" in os.environ:
            found.append("an unreachable package index is a failure where CI is set")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the lock files instead of checking them")
    parser.add_argument("--upgrade", action="store_true", help="with --write: take newer versions")
    arguments = parser.parse_args()
    os.chdir(Path(__file__).parent.parent)
    if arguments.write:
        sys.exit(write(upgrade=arguments.upgrade))
    if found := check():
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
