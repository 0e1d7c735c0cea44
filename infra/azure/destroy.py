"""Takes a deployment down again. The threads stay where they are, unless they are to be deleted, too."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

TEMPLATE = Path(__file__).with_name("main.bicep")
ORDER = (
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Insights/metricAlerts",
    "Microsoft.Insights/actionGroups",
    "Microsoft.Web/sites",
    "Microsoft.Web/serverfarms",
    "Microsoft.Insights/components",
    "Microsoft.OperationalInsights/workspaces",
)
"""What goes: a function before its plan, and alarms before what they watch."""

HOLD_THREADS = ("Microsoft.Storage/storageAccounts", "Microsoft.DocumentDB/databaseAccounts")
LOCKS = "Microsoft.Authorization/locks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--delete-threads", action="store_true", help="delete the accounts, too, for ever")
    parser.add_argument("--manager", default="https://management.azure.com", help="Azure Resource Manager")
    arguments = parser.parse_args()
    told = azd("env", "get-values", "-e", arguments.environment)
    values = dict(re.findall(r'^(\w+)="?(.*?)"?$', told, re.MULTILINE))
    try:
        subscription, group = values["AZURE_SUBSCRIPTION_ID"], values["AZURE_RESOURCE_GROUP"]
    except KeyError as missing:
        sys.exit(f"{arguments.environment} was not deployed: it has no {missing}")
    manager = Manager(arguments.manager)
    made = manager.made(f"/subscriptions/{subscription}/resourceGroups/{group}", arguments.environment)
    accounts = [one for one in made if one["type"] in HOLD_THREADS]
    names = " and ".join(one["name"] for one in accounts)
    if arguments.delete_threads:
        for one in accounts:
            manager.delete(
                f"{one['id']}/providers/Microsoft.Authorization/locks/threads",
                "Microsoft.Authorization/locks",
            )
        azd("down", "--force", "--purge", "-e", arguments.environment)
        print(f"Deleted {arguments.environment} and its threads in {names}.")
    else:
        for kind in ORDER:
            for one in made:
                if one["type"] == kind:
                    manager.delete(one["id"], kind)
        print(f"Deleted {arguments.environment}. The threads stay in {names}.")


def azd(*command: str) -> str:
    try:
        return subprocess.run(["azd", *command], check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        sys.exit("azd, the Azure Developer CLI, is missing")
    except subprocess.CalledProcessError as error:
        sys.exit(f"azd {' '.join(command)} failed: {error.returncode}")


class Manager:
    """Azure Resource Manager, asked in the name of whoever azd is signed in as."""

    def __init__(self, address: str) -> None:
        self._address = address
        scope = "https://management.azure.com/.default"
        self._token = json.loads(azd("auth", "token", "--scope", scope, "--output", "json"))["token"]
        self._versions = dict(re.findall(r"'([\w.]+(?:/\w+)+)@([\w-]+)'", TEMPLATE.read_text()))

    def made(self, group: str, environment: str) -> list[dict[str, Any]]:
        """What the deployment made; not what else there may be in its resource group."""
        chosen = quote(f"tagName eq 'azd-env-name' and tagValue eq '{environment}'")
        path: str | None = f"{group}/resources?api-version=2021-04-01&$filter={chosen}"
        found: list[dict[str, Any]] = []
        while path:
            page = self._ask("GET", path)
            found += page["value"]
            path = (page.get("nextLink") or "").removeprefix(self._address)
        kinds = {kind.lower(): kind for kind in (*ORDER, *HOLD_THREADS)}
        known = [one for one in found if one["type"].lower() in kinds]
        return [{**one, "type": kinds[one["type"].lower()]} for one in known]

    def delete(self, id: str, kind: str) -> None:
        try:
            self._ask("DELETE", f"{id}?api-version={self._versions[kind]}")
        except HTTPError as error:
            if error.code != 404:
                sys.exit(f"{id} was not deleted: {error.read().decode()}")

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"}
        request = Request(self._address + path, method=method, headers=headers)  # noqa: S310 - a fixed address
        with urlopen(request, timeout=300) as answer:  # noqa: S310
            return dict(json.loads(answer.read() or b"{}"))


if __name__ == "__main__":
    main()
