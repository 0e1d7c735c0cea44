"""What `azd up` makes and packs, by checkov and its parser: Bicep's own is not on PyPI, npm or Debian."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pathspec import GitIgnoreSpec

from chatstore.settings import Settings
from chatstore.sweeping import SWEEP_LOG
from tests.infrastructure.bicep import INFRA, ROOT, TOOLS, Deployment, defaults, parsed


@pytest.fixture(scope="module", autouse=True)
def tools(absent: Callable[[str, str], NoReturn]) -> None:
    if not (TOOLS / ".installed").exists():
        absent("checkov", f"make {TOOLS.name}/.installed")


def resource(name: str, **parameters: Any) -> dict[str, Any]:
    found = Deployment(**parameters).resource(name)
    assert found is not None
    return found


@pytest.mark.timeout(300)
def test_checkovs_rules_hold() -> None:
    command = [str(TOOLS / "bin/checkov"), "--framework", "bicep", "--skip-download"]
    done = subprocess.run(
        [*command, "--config-file", f"{INFRA}/checkov.yaml", "--directory", str(INFRA), "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] >= 20
    assert [f"{one['check_id']} {one['resource']}" for one in found["results"]["failed_checks"]] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("auth", ["api-key", "jwt", "api-key,jwt", "platform"])
def test_the_app_settings_are_what_the_service_reads(auth: str) -> None:
    given = {
        "auth": auth,
        "jwtIssuer": "https://issuer.example",
        "jwtAudience": "chat",
        "jwtTenantClaim": "org",
        "corsOrigins": "https://app.example",
        "defaultTtl": "90d",
    }
    made = resource("settings", **given)["properties"]
    ours = {name for name in made if name.startswith("CHATSTORE_")}
    assert ours <= {f"CHATSTORE_{one.name.upper()}" for one in fields(Settings)}
    settings = Settings.from_environment(made)
    assert settings.url == "aztables://st0abcdefghijkl/chat?client=blocking"
    assert settings.auth == auth
    reads = "jwt" in auth
    assert (settings.jwt_issuer, settings.jwt_audience) == (
        (given["jwtIssuer"], "chat") if reads else ("", "")
    )
    assert (settings.jwt_tenant_claim, settings.cors_origins) == ("org", given["corsOrigins"])
    assert settings.default_ttl is not None
    assert settings.default_ttl.days == 90
    # Such a plan has its runtime elsewhere, and refuses these.
    assert not {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"} & set(
        made
    )
    # The identity is the only credential.
    assert not [value for value in made.values() if "AccountKey" in str(value)]
    assert made["AzureWebJobsStorage__accountName"] == "st0abcdefghijkl"


def test_without_parameters_the_settings_are_readable() -> None:
    made = resource("settings")["properties"]
    assert "CHATSTORE_DEFAULT_TTL" not in made
    assert Settings.from_environment(made).default_ttl is None
    assert Settings.from_environment(made).auth == "api-key"


def test_a_collector_is_named_by_parameters() -> None:
    made = resource("settings")["properties"]
    assert made["CHATSTORE_TELEMETRY"] == "off"
    assert not [name for name in made if name.startswith("OTEL_")]
    collector = {"telemetry": "otlp", "otlpEndpoint": "https://c.example", "otlpHeaders": "api-key=x"}
    made = resource("settings", **collector)["properties"]
    assert Settings.from_environment(made).telemetry == "otlp"
    assert made["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://c.example"
    assert made["OTEL_EXPORTER_OTLP_HEADERS"] == "api-key=x"
    # They may hold a key of the collector's.
    assert "@secure()\n@description('Headers" in (INFRA / "main.bicep").read_text()


def test_the_accounts_are_safe() -> None:
    storage = resource("storage")
    assert storage["properties"]["allowSharedKeyAccess"] is False
    assert storage["properties"]["allowBlobPublicAccess"] is False
    assert storage["properties"]["minimumTlsVersion"] == "TLS1_2"
    assert storage["properties"]["supportsHttpsTrafficOnly"] is True
    assert resource("container")["properties"] == {"publicAccess": "None"}
    assert resource("storageLock")["properties"]["level"] == "CanNotDelete"
    assert Deployment(deletionProtection=False).resource("storageLock") is None
    for name in ("storage", "workspace", "insights", "plan", "site"):
        assert resource(name, environmentName="e")["tags"].items() >= {
            "application": "chatstore", "azd-env-name": "e",
        }.items()  # fmt: skip


def test_cosmos_is_made_where_it_is_asked_for() -> None:
    assert Deployment().resource("account") is None
    assert Deployment().resource("cosmosTable") is None
    account = resource("account", cosmos=True)["properties"]
    assert account["disableLocalAuth"] is True
    assert account["disableKeyBasedMetadataWriteAccess"] is True
    assert account["minimalTlsVersion"] == "Tls12"
    assert {"name": "EnableTable"} in account["capabilities"]
    # Strong reads cost double, and are paid: a reader is owed what was acknowledged.
    assert account["consistencyPolicy"] == {"defaultConsistencyLevel": "Strong"}
    said = (ROOT / "infra/azure/main.bicep").read_text().partition("consistencyPolicy:")[0].splitlines()[-2]
    assert "twice the request units" in said
    page = " ".join((ROOT / "docs/azure.md").read_text().split())
    assert "strong reads, which cost twice the request units" in page
    assert resource("cosmosTable", cosmos=True)["name"] == "chat"
    assert Deployment(cosmos=True).resource("table") is None
    made = resource("settings", cosmos=True)["properties"]
    assert Settings.from_environment(made).url == "cosmos-table://cosmos-0abcdefghijkl/chat?client=blocking"


def test_threads_may_be_in_a_postgresql() -> None:
    url = "postgresql://served@db.example/app?sslmode=verify-full&pool=2"
    given = {"database": url, "databaseVault": "secrets", "subnet": "/subscriptions/1/subnets/functions"}
    made = resource("settings", **given)["properties"]
    assert Settings.from_environment(made).url == url
    # The password is the vault's, and only a reference to it is here.
    assert made["PGPASSWORD"] == "@Microsoft.KeyVault(VaultName=secrets;SecretName=chatstore-database)"
    assert resource("site", **given)["properties"]["virtualNetworkSubnetId"] == given["subnet"]
    access = Deployment(**given).module("access")
    assert access.resource("vault") == {"name": "secrets"}
    assert access.resource("serviceVault") is not None
    assert Deployment(**given).resource("table") is None
    assert Deployment(**given, alarmEmail="a@b").resource("tablesThrottle") is None
    # Without it, nothing of all that is there.
    plain = Deployment()
    assert "PGPASSWORD" not in resource("settings")["properties"]
    assert plain.module("access").resource("serviceVault") is None
    assert resource("site")["properties"]["virtualNetworkSubnetId"] is None
    assert plain.resource("table") is not None


def test_the_log_is_capped_and_somebody_hears_of_alarms_and_costs() -> None:
    assert resource("workspace")["properties"]["workspaceCapping"] == {"dailyQuotaGb": 1}
    made = ("people", "serviceFails", "tablesThrottle", "budget", "sweepsFallBehind")
    assert [Deployment().resource(name) for name in made] == [None] * 5
    deployed = Deployment(alarmEmail="a@example.org", monthlyBudget=50, budgetStart="2026-03-01")
    people, fails, throttle, budget, behind = (deployed.resource(name) for name in made)
    assert people
    assert fails
    assert throttle
    assert budget
    assert behind
    [counted] = behind["properties"]["criteria"]["allOf"]
    assert f'message).logger == "{SWEEP_LOG}" and tobool(parse_json(message).more)' in counted["query"]
    assert (behind["properties"]["windowSize"], counted["threshold"]) == ("PT3H", 3)
    [receiver] = people["properties"]["emailReceivers"]
    assert receiver["emailAddress"] == "a@example.org"
    assert "parse_json(message).status" in fails["properties"]["criteria"]["allOf"][0]["query"]
    assert fails["properties"]["actions"] == {"actionGroups": ["<people>"]}
    assert throttle["properties"]["actions"] == [{"actionGroupId": "<people>"}]
    assert (budget["properties"]["amount"], budget["properties"]["timePeriod"]) == (
        50, {"startDate": "2026-03-01"},
    )  # fmt: skip
    assert Deployment(alarmEmail="a@example.org", cosmos=True).resource("tablesThrottle") is None


def test_the_function_is_bounded() -> None:
    site = resource("site", alwaysReady=2)
    assert site["identity"] == {"type": "SystemAssigned"}
    assert site["tags"]["azd-service-name"] in parsed()["azure"]["services"]
    config = site["properties"]["functionAppConfig"]
    assert config["deployment"]["storage"]["authentication"] == {"type": "SystemAssignedIdentity"}
    # Nothing else says that the container is there first.
    assert site["dependsOn"] == ["container"]
    scale = config["scaleAndConcurrency"]
    assert (scale["instanceMemoryMB"], scale["maximumInstanceCount"]) == (512, 40)
    assert scale["triggers"] == {"http": {"perInstanceConcurrency": 16}}
    assert scale["alwaysReady"] == [{"name": "http", "instanceCount": 2}]
    without = resource("site")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert without["alwaysReady"] == []
    assert site["properties"]["httpsOnly"] is True
    assert site["properties"]["siteConfig"]["minTlsVersion"] == "1.2"
    assert not any(resource(name)["properties"]["allow"] for name in ("ftp", "scm"))
    assert resource("plan")["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert Deployment().resource("easyAuth") is None
    auth = resource("easyAuth", auth="platform", jwtAudience="app")["properties"]
    assert auth["globalValidation"]["requireAuthentication"] is True
    assert auth["identityProviders"]["azureActiveDirectory"]["validation"] == {"allowedAudiences": ["app"]}


def test_the_identity_may_do_what_it_does_and_nothing_else() -> None:
    access = parsed()["access"]
    roles = {name: one["value"] for name, one in access["variables"].items()}
    assert roles == {
        "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
        "keyVaultSecretsUser": "4633458b-17de-408a-874b-0445c86b69e6",
        "cosmosTableDataContributor": "00000000-0000-0000-0000-000000000002",
    }
    granted = set()
    for made in access["resources"].values():
        if made["type"] != "Microsoft.Authorization/roleAssignments":
            continue
        config = made["config"].get("config", made["config"])
        role = config["properties"]["roleDefinitionId"]["function"]["parameters"]["resource_name_1"]
        granted.add((config["properties"]["principalId"], role, config["scope"]))
        # Its name changes with whom it is for, or a later deployment fails on an identity that is gone.
        assert config["properties"]["principalId"] in config["name"]["function"]["parameters"].values()
    assert granted == {
        ("servicePrincipalId", "storageTableDataContributor", "storage"),
        ("servicePrincipalId", "storageBlobDataOwner", "storage"),
        ("servicePrincipalId", "monitoringMetricsPublisher", "insights"),
        ("servicePrincipalId", "keyVaultSecretsUser", "vault"),
        ("personPrincipalId", "storageTableDataContributor", "storage"),
    }
    elsewhere = {one["type"] for one in parsed()["main"]["resources"].values()}
    assert "Microsoft.Authorization/roleAssignments" not in elsewhere
    module = parsed()["main"]["modules"]["access"]["config"]["params"]
    assert set(module) == set(access["parameters"])


@pytest.mark.parametrize("cosmos", [False, True])
def test_every_resource_has_a_name(cosmos: bool) -> None:
    """Also one that is not made: Resource Manager counts the segments of its name all the same."""
    main = Deployment(cosmos=cosmos, principalId="me")
    for one in (main, main.module("access")):
        assert [name for name, full in one.full_names().items() if not all(full.split("/"))] == []


def test_on_cosmos_the_identity_may_use_that_account_alone() -> None:
    names = ("serviceCosmos", "personCosmos")
    access = Deployment(cosmos=True, principalId="me").module("access")
    made = {name: access.resource(name) for name in names}
    assert made == {
        name: {
            "parent": "account",
            "name": "<guid>",
            "properties": {
                "principalId": principal,
                "roleDefinitionId": (
                    "account.id/tableRoleDefinitions/00000000-0000-0000-0000-000000000002"
                ),
                "scope": "<account>",
            },
        }
        for name, principal in zip(names, ("<site>", "me"), strict=True)
    }  # fmt: skip
    assert access.resource("account") == {"name": "cosmos-0abcdefghijkl"}
    kinds = {one["type"] for one in parsed()["access"]["resources"].values() if not one["existing"]}
    assert kinds == {
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments",
    }
    nobody = Deployment(cosmos=True).module("access")
    assert nobody.resource("personCosmos") is None
    without = Deployment(principalId="me").module("access")
    assert [without.resource(name) for name in names] == [None, None]


def test_azd_gives_every_parameter_its_default() -> None:
    infra = parsed()["azure"]["infra"]
    assert ROOT / infra["path"] / f"{infra['module']}.bicep" == INFRA / "main.bicep"
    assert parsed()["azure"]["services"] == {
        "service": {"project": ".", "language": "python", "host": "function"}
    }
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert set(given) == set(defaults())
    for name, one in given.items():
        if "AZURE_" not in one["value"]:
            default = defaults()[name]
            text = default if isinstance(default, str) else json.dumps(default)
            assert one["value"] == f"${{{name}={text}}}"


def test_every_name_in_the_templates_is_there() -> None:
    """A part of what the compiler would find."""
    for name in ("main", "access"):
        parts = parsed()[name]
        known = {
            one for kind in ("parameters", "variables", "resources", "modules") for one in parts.get(kind, {})
        }
        text = re.sub(r"//.*", "", (INFRA / f"{name}.bicep").read_text())
        for used in re.findall(r"\$\{(\w+)|(?:parent|scope): (\w+)|: (\w+)\.\w|dependsOn: \[(\w+)\]", text):
            assert "".join(used) in known
        declared = set(parts["parameters"]) | set(parts["variables"])
        assert [one for one in declared if len(re.findall(rf"\b{one}\b", text)) < 2] == []


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What azd packs: everything but what .funcignore names."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    packed = tmp_path_factory.mktemp("package")
    for folder, folders, files in os.walk(ROOT):
        place = Path(folder).relative_to(ROOT)
        folders[:] = [one for one in folders if not ignored.match_file(f"{(place / one).as_posix()}/")]
        for one in files:
            if not ignored.match_file((place / one).as_posix()):
                (packed / place).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / place / one, packed / place / one)
    return packed


def test_the_package_holds_what_runs(package: Path) -> None:
    assert {path.name for path in package.iterdir()} == {
        "LICENSE", "chatstore", "function_app.py", "host.json", "requirements.txt",
    }  # fmt: skip
    listed = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "chatstore").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(listed) > 50
    packed = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {one for one in listed if not one.endswith(".md")} <= packed
    assert not [one for one in packed if one.endswith((".db", ".pyc", "local.settings.json"))]


def test_the_package_alone_starts_with_the_settings_of_the_template(package: Path) -> None:
    made = resource("settings")["properties"]
    program = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import function_app, chatstore\n"
        "print(chatstore.__file__)\n"
        "made = {one.get_function_name(): one for one in function_app.app.get_functions()}\n"
        "print(*sorted(made), made['sweep'].get_settings_dict('retry_policy')['max_retry_count'])"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-I", "-c", program],
        cwd=package,
        env={**made, "FUNCTIONS_WORKER_RUNTIME": "python", "WEBSITE_INSTANCE_ID": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module, names = done.stdout.splitlines()
    assert Path(module).is_relative_to(package)
    assert names.split() == ["http_app_func", "sweep", "2"]


def test_the_app_has_no_property_that_its_plan_refuses() -> None:
    """Flex Consumption knows no FTP: Resource Manager refuses a deployment that sets it."""
    assert "ftpsState" not in resource("site")["properties"]["siteConfig"]


def test_what_a_contributor_may_not_do_is_listed() -> None:
    kinds = {
        one["detail"]["type"] if "detail" in one else one["type"]
        for template in ("main", "access")
        for one in parsed()[template]["resources"].values()
    }
    # Contributor may write everything but what is Microsoft.Authorization's.
    beyond = {kind for kind in kinds if kind.startswith("Microsoft.Authorization/")}
    assert beyond == {"Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/locks"}
    page = (INFRA.parents[1] / "docs/azure.md").read_text()
    section = page[page.index("### What whoever deploys may do") : page.index("### Regions")]
    section = " ".join(section.split())
    assert "*Contributor* and *Role Based Access Control Administrator*" in section
    assert "Locks (`deletionProtection`) need *User Access Administrator* or *Owner*" in section
