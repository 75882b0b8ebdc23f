"""The deploy files agree with each other, with the command line and with the settings; the units pass their linters.

The linters of the Dockerfile, the Compose file and the manifests are run by `make check`.
"""

from __future__ import annotations

import http.server
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from ruamel.yaml import YAML
from typer.main import get_command

from deploy.probe import PORT, probe
from stentor.cli.main import app
from stentor.config import ApiConfig, load
from stentor.providers.apns.channel import ApnsApp
from stentor.runtime.child import Role
from stentor.runtime.supervisor import EXTRA

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SYSTEMD = sorted((DEPLOY / "systemd").glob("*.service"))
PAGE = ROOT / "docs" / "deploy.md"
BIN = Path(sys.executable).parent
ROLES = get_args(Role)
"""All that `stentor worker` knows: each has a service, a deployment and a unit."""
SECRET = "hunter2"
URLS = {
    "STENTOR_STORE__URL": f"postgresql://stentor:{SECRET}@postgres:5432/stentor",
    "STENTOR_QUEUE__URL": f"nats://stentor:{SECRET}@nats-1:4222,nats://stentor:{SECRET}@nats-2:4222",
    "STENTOR_AUDIENCES__USERS__URL": f"postgresql://reader:{SECRET}@db/app",
}
LISTEN = f"0.0.0.0:{PORT}"
API_PORT = 8383
API_VARIABLES = {
    "STENTOR_API__PUBLIC_URL",
    "STENTOR_API__LISTEN",
    "STENTOR_API__INSECURE",
    "STENTOR_API__TRUSTED_PROXIES",
}
"""What deployments say of the API by variables."""
CONFIG = "/etc/stentor/stentor.toml"
KEYS = "/etc/stentor/keys"
MEGABYTES = 200
"""What a process of Stentor's uses at most; limits are above it, or it would be killed for nothing."""

USAGE_ERROR: type[Exception] = typer.BadParameter.mro()[1]
"""What its parser raises. Typer carries its own copy of click, and exports only some of its classes."""

FALSE_ALARMS = {
    "Security.Delegate": "wants every service to manage control groups of its own, which Stentor doesn't",
    "Security.UMaskOW": "reads a mask the wrong way round: 0077 keeps everybody else out",
}
"""What systemdlint says of every unit, and why it isn't heeded."""
SYSTEMD_VERSION = "2.52"
"""Of Debian 12, as systemdlint writes it."""


def documents(file: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(file.read_text("utf-8")))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return documents(DEPLOY / "compose.yaml")[0]


@pytest.fixture(scope="module")
def kustomization() -> dict[str, Any]:
    return documents(KUBERNETES / "kustomization.yaml")[0]


@pytest.fixture(scope="module")
def manifests(kustomization: dict[str, Any]) -> list[dict[str, Any]]:
    return [document for name in kustomization["resources"] for document in documents(KUBERNETES / name)]


def of_kind(kind: str, manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod of each role and of the migration."""
    found = of_kind("Deployment", manifests) | of_kind("Job", manifests)
    return {name.removeprefix("stentor-"): each["spec"]["template"]["spec"] for name, each in found.items()}


def unit(file: Path) -> dict[str, list[str]]:
    """The settings of a unit, whichever section they stand in."""
    found: dict[str, list[str]] = {}
    for line in file.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


# -- by their own tools -----------------------------------------------------------------------------------------------


def complaints(*units: Path) -> list[str]:
    """What systemdlint has against units, beside its false alarms and what only an installed system could show."""
    options = ("--norootfs", "--nodropins", "--sversion", SYSTEMD_VERSION)
    found = run(BIN / "systemdlint", *options, *units).stderr.splitlines()
    return [line for line in found if not any(f"[{alarm}]" in line for alarm in FALSE_ALARMS)]


def test_the_units() -> None:
    assert complaints(*SYSTEMD) == []


def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    text = SYSTEMD[0].read_text("utf-8").replace("UMask=0077", "UMask=0077\nRestartt=always")
    (tmp_path / "wrong.service").write_text(text)
    assert ["InvalidSetting" in line for line in complaints(tmp_path / "wrong.service")] == [True]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_units_by_systemd_itself(tmp_path: Path) -> None:
    """Under another name of the program, which must exist; and a template must have an instance."""
    for file in SYSTEMD:
        text = file.read_text("utf-8").replace("/opt/stentor/bin/stentor", sys.executable)
        (tmp_path / file.name.replace("@", "@sender")).write_text(text)
    done = run("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.glob("*.service")))
    assert (done.returncode, done.stderr) == (0, "")
    for file in SYSTEMD:
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", file)
        assert done.returncode == 0, done.stdout


def test_the_units_are_equally_hardened() -> None:
    found = {
        re.split(r"\n\n?\[Install\]", file.read_text("utf-8").partition("# It needs nothing")[2])[0] for file in SYSTEMD
    }
    assert len({text.strip() for text in found}) == 1


@pytest.mark.parametrize("password", ["12e4", "0x1f", "letters"])
def test_the_settings_of_nats(password: str) -> None:
    """With passwords as the Compose file gives them; those that look like numbers are taken as texts, too."""
    done = run(
        BIN / "nats-server",
        "-t",
        "--config",
        DEPLOY / "nats" / "nats.conf",
        "--name",
        "a",
        NATS_PASSWORD=f'"{password}"',
    )
    assert done.returncode == 0, done.stderr


# -- what all of them say of Stentor ----------------------------------------------------------------------------------


def commands(compose: Mapping[str, Any], manifests: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """(where, arguments) of each command line of Stentor's."""
    for line in re.findall(r"^CMD (.+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE):
        yield "Dockerfile", YAML(typ="safe", pure=True).load(line)
    for name, service in compose["services"].items():
        if "stentor" in service["image"].lower():
            yield f"compose.yaml: {name}", service["command"]
    for name, pod in pods(manifests).items():
        yield f"kubernetes: {name}", pod["containers"][0]["args"]
    for file in SYSTEMD:
        yield from ((file.name, line) for line in of_unit(file))
    yield from (("docs/deploy.md", line) for line in of_page(PAGE.read_text("utf-8")))


def of_unit(file: Path) -> Iterator[list[str]]:
    """A template's for each role, a sender's also with the options that a comment proposes."""
    proposed = re.findall(r'OPTIONS="(.+)"', file.read_text("utf-8"))
    for line in unit(file)["ExecStart"]:
        for role in ROLES if "%i" in line else ("",):
            for options in ("", *proposed) if role == "sender" else ("",):
                yield shlex.split(line.replace("%i", role).replace("$OPTIONS", options))[1:]


def of_page(page: str) -> Iterator[list[str]]:
    """Those in its shell blocks, also where they run in a container, and those within a sentence."""
    for block in re.findall(r"^ *```sh\n(.*?)```", page, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            for before, word in pairwise(("--", *words)):
                if (before, word) == ("--", "stentor") or word == "/opt/stentor/bin/stentor":
                    yield words[len(words) - words[::-1].index(word) :]
            if words[:3] == ["docker", "compose", "run"]:
                yield words[words.index("sender") + 1 :]
            if words[:3] == ["docker", "compose", "exec"]:
                yield words[words.index("stentor") + 1 :]
    yield from (shlex.split(line) for line in re.findall(r"`stentor ([^`]+)`", page))


def complaint(arguments: list[str]) -> str:
    """What the command line has against these arguments; it runs nothing."""
    command: Any = get_command(app)  # Any: typer carries its own copy of click, whose classes it doesn't export
    name, rest = "stentor", list(arguments)
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            return f"{name}: there is no command {rest[:1]}"
        name = rest.pop(0)
        command = command.commands[name]
    try:
        command.make_context(name, rest)
    except USAGE_ERROR as error:
        return f"{name}: {type(error).__name__}: {error}"
    return ""


def test_every_command_line_is_one(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    found = list(commands(compose, manifests))
    assert len(found) > 20
    assert {f"{where}: {shlex.join(line)}": said for where, line in found if (said := complaint(line))} == {}


@pytest.mark.parametrize("line", ["sent", "init --upgarde", "send", "campaign cancel", "campaign cancel a b"])
def test_a_wrong_command_line_is_noticed(line: str) -> None:
    assert complaint(shlex.split(line))


def test_no_setting_is_wrong() -> None:
    config = load(DEPLOY / "stentor.toml", URLS)
    assert config.store.url == URLS["STENTOR_STORE__URL"]
    assert config.audiences["users"].url == URLS["STENTOR_AUDIENCES__USERS__URL"]
    assert set(config.apps) == {"ios", "android"}
    assert SECRET not in repr(config)


def test_kubernetes_has_the_same_settings() -> None:
    """It can only take files from its own folder."""
    assert (KUBERNETES / "stentor.toml").read_text("utf-8") == (DEPLOY / "stentor.toml").read_text("utf-8")


def variables(compose: Mapping[str, Any], manifests: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, service in compose["services"].items():
        yield from ((f"compose.yaml: {name}", variable) for variable in service.get("environment", {}))
    for name, pod in pods(manifests).items():
        yield from ((f"kubernetes: {name}", each["name"]) for each in pod["containers"][0]["env"])


def test_every_variable_is_one_of_the_settings(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    found = [(where, name) for where, name in variables(compose, manifests) if name.startswith("STENTOR_")]
    assert {name for _, name in found} == set(URLS) | API_VARIABLES
    named = set(re.findall(r"\bSTENTOR_\w+__\w+", "".join(file.read_text("utf-8") for file in [PAGE, *SYSTEMD])))
    assert named - set(URLS) - API_VARIABLES == {"STENTOR_APPS__IOS__KEY_FILE", "STENTOR_LOGGING__FORMAT"}
    ios = load(DEPLOY / "stentor.toml", URLS | {"STENTOR_APPS__IOS__KEY_FILE": "/run/key"}).apps["ios"]
    assert isinstance(ios, ApnsApp)
    assert ios.key_file == Path("/run/key")


def test_what_collects_logs_gets_json_and_people_get_text() -> None:
    assert load(DEPLOY / "stentor.toml", URLS).logging.format == "json"
    units = [file for file in SYSTEMD if file.name != "stentor-migrate.service"]
    assert all("STENTOR_LOGGING__FORMAT=text" in unit(file)["Environment"] for file in units)


def test_everybody_has_the_time_to_stop(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    graces = [
        int(service["stop_grace_period"].rstrip("s")) for name, service in compose["services"].items() if name in ROLES
    ]
    graces += [pod["terminationGracePeriodSeconds"] for name, pod in pods(manifests).items() if name in ROLES]
    graces += [int(unit(file)["TimeoutStopSec"][0]) for file in SYSTEMD if "migrate" not in file.name]
    assert len(graces) == 2 * len(ROLES) + 2
    assert min(graces) > load(DEPLOY / "stentor.toml", URLS).sending.stop_within + EXTRA


def test_settings_and_keys_are_where_they_are_looked_for(
    compose: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    keys = {"apns.p8", "fcm.json"}
    assert keys == set(re.findall(r'"keys/(.+)"', (DEPLOY / "stentor.toml").read_text("utf-8")))
    assert f"STENTOR_CONFIG={CONFIG}" in (DEPLOY / "Dockerfile").read_text("utf-8")
    for role in ROLES:
        service = compose["services"][role]
        assert [each["target"] for each in service["configs"]] == [CONFIG]
        assert {each["target"] for each in service["secrets"]} == {f"{KEYS}/{key}" for key in keys}
        mounts = {each["name"]: each["mountPath"] for each in pods(manifests)[role]["containers"][0]["volumeMounts"]}
        assert (mounts["settings"], mounts["keys"]) == (CONFIG, KEYS)
    assert all(f"STENTOR_CONFIG={CONFIG}" in unit(file)["Environment"] for file in SYSTEMD)
    created = re.search(r"generic stentor-keys (.+)", PAGE.read_text("utf-8"))
    assert created
    assert {word.partition("=")[2] for word in created[1].split()} == keys


# -- the role `api` ---------------------------------------------------------------------------------------------------


def in_compose(compose: Mapping[str, Any], **chosen: str) -> ApiConfig:
    """The API's settings of its service, where `.env` says what is `chosen`."""
    given = {}
    for name, text in compose["services"]["api"]["environment"].items():
        given[name] = re.sub(r"\$\{(\w+)(?::[-?](.*?))?\}", lambda found: chosen.get(found[1], found[2] or ""), text)
    return load(DEPLOY / "stentor.toml", given | URLS).api


def in_kubernetes(manifests: list[dict[str, Any]]) -> ApiConfig:
    variables = {
        each["name"]: each["value"] for each in pods(manifests)["api"]["containers"][0]["env"] if "value" in each
    }
    return load(KUBERNETES / "stentor.toml", variables | URLS).api


def test_every_role_has_its_place_and_its_words(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    template = (DEPLOY / "systemd" / "stentor@.service").read_text("utf-8")
    for role in ROLES:
        assert role in compose["services"]
        assert role in pods(manifests)
        assert f"stentor@{role}" in template
        assert f"`stentor@{role}`" in PAGE.read_text("utf-8")


def test_the_api_is_reached_from_this_machine_until_somebody_says_how_else(compose: dict[str, Any]) -> None:
    assert compose["services"]["api"]["ports"] == [f"127.0.0.1:{API_PORT}:{API_PORT}"]
    assert not [name for name, each in compose["services"].items() if "ports" in each and name != "api"]
    api = in_compose(compose)
    assert (api.listen, api.address, api.trusted_proxies) == (f"0.0.0.0:{API_PORT}", f"http://127.0.0.1:{API_PORT}", ())
    assert not api.is_https
    proxied = in_compose(compose, API_PUBLIC_URL="https://push.example.com", API_TRUSTED_PROXIES="172.18.0.1")
    assert (proxied.is_https, proxied.trusted_proxies) == (True, ("172.18.0.1",))
    assert "environment" in compose["services"]["scheduler"]
    assert "STENTOR_API__PUBLIC_URL" in compose["services"]["scheduler"]["environment"], "it writes links into reports"


def test_an_ingress_leads_to_the_api_and_nobody_else_does(manifests: list[dict[str, Any]]) -> None:
    api = in_kubernetes(manifests)
    assert (api.listen, api.insecure, api.is_https) == (f"0.0.0.0:{API_PORT}", False, True)
    assert all(ip_network(each).is_private for each in api.trusted_proxies)
    (port,) = of_kind("Service", manifests)["stentor-api"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (API_PORT, "http")
    assert {"name": "http", "containerPort": API_PORT} in pods(manifests)["api"]["containers"][0]["ports"]
    (rule,) = of_kind("NetworkPolicy", manifests)["stentor-api"]["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [API_PORT]
    assert rule["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ingress-nginx"}
    assert of_kind("Deployment", manifests)["stentor-api"]["spec"]["replicas"] == 2


def test_the_settings_that_the_page_proposes_for_the_api_are_some() -> None:
    proposed = [
        ApiConfig.model_validate(tomllib.loads(textwrap.dedent(block))["api"])
        for block in re.findall(r"^ *```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    ]
    assert [(each.is_local, each.scheme, each.trusted_proxies, each.is_https) for each in proposed] == [
        (True, "http", ("127.0.0.1",), True),
        (False, "https", (), True),
    ]


# -- compose.yaml -----------------------------------------------------------------------------------------------------


def test_the_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {role: services[role]["deploy"]["replicas"] for role in ROLES} == {
        "planner": 2,
        "sender": 3,
        "recorder": 2,
        "scheduler": 2,
        "api": 1,  # more would need more than one published port
    }
    for role in ROLES:
        assert services[role]["command"] == ["worker", role, "--listen", LISTEN]
        assert services[role]["healthcheck"]["test"] == ["CMD", "stentor-probe", "/readyz"]
        assert int(services[role]["deploy"]["resources"]["limits"]["memory"].rstrip("M")) > MEGABYTES
        waits = {name: each["condition"] for name, each in services[role]["depends_on"].items()}
        assert waits.pop("migrate") == "service_completed_successfully"
        assert waits == dict.fromkeys(("nats-1", "nats-2", "nats-3"), "service_healthy")
    assert services["migrate"]["command"] == ["init", "--upgrade"]


def test_what_services_use_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service["networks"]) <= set(compose["networks"]), name
        for kind in ("configs", "secrets"):
            assert {each["source"] for each in service.get(kind, [])} <= set(compose[kind]), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= set(compose["volumes"]), name
    assert all((DEPLOY / each["file"]).exists() for each in compose["configs"].values())


def test_the_nats_servers_are_three(compose: dict[str, Any]) -> None:
    conf = (DEPLOY / "nats" / "nats.conf").read_text("utf-8")
    servers = [name for name in compose["services"] if name.startswith("nats-")]
    assert len(servers) == 3
    assert re.findall(r"nats://([\w-]+):6222", conf) == servers
    assert re.findall(r"@([\w-]+):4222", compose["services"]["sender"]["environment"]["STENTOR_QUEUE__URL"]) == servers
    for name in servers:
        assert compose["services"][name]["command"][-2:] == ["--name", name]


def test_no_password_is_committed(compose: dict[str, Any]) -> None:
    """Each comes from outside, and without it nothing starts."""
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    for name in ("POSTGRES_PASSWORD", "NATS_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    files = [file for file in DEPLOY.rglob("*") if file.is_file()]
    urls = [
        each for file in files for each in re.findall(r"://[^\s/@:]+:([^\s@]+)@", file.read_text("utf-8", "replace"))
    ]
    assert urls
    assert all(password.startswith("${") for password in urls)


# -- kubernetes -------------------------------------------------------------------------------------------------------


def test_the_roles_differ_only_in_what_they_must(manifests: list[dict[str, Any]]) -> None:
    deployments = of_kind("Deployment", manifests)
    assert set(deployments) == {f"stentor-{role}" for role in ROLES}
    plain = []
    for role in ROLES:
        deployment = deployments[f"stentor-{role}"]
        assert deployment["spec"]["template"]["spec"]["containers"][0]["args"] == ["worker", role, "--listen", LISTEN]
        spec = {name: value for name, value in deepcopy(deployment["spec"]).items() if name != "replicas"}
        container = spec["template"]["spec"]["containers"][0]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        if role == "api":
            container["ports"].remove({"name": "http", "containerPort": API_PORT})
            container["env"] = [each for each in container["env"] if each["name"] not in API_VARIABLES]
        plain.append(re.sub(rf"'cpu': '\w+'|\b{role}\b", "", repr(spec)))
    assert len(set(plain)) == 1


def test_the_autoscaler_alone_says_how_many_senders(manifests: list[dict[str, Any]]) -> None:
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind("HorizontalPodAutoscaler", manifests).values()}
    counted = {name for name, each in of_kind("Deployment", manifests).items() if "replicas" in each["spec"]}
    assert scaled == {"stentor-sender"}
    assert scaled | counted == set(of_kind("Deployment", manifests))
    assert scaled & counted == set()


def test_every_pod_is_restricted(manifests: list[dict[str, Any]]) -> None:
    """By the standard of that name, to which the namespace holds them."""
    user = re.search(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert user
    for pod in pods(manifests).values():
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == int(user[1])
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["serviceAccountName"] in of_kind("ServiceAccount", manifests)
        assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) > MEGABYTES


def test_the_port_is_one(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    for name, deployment in of_kind("Deployment", manifests).items():
        template = deployment["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert container["ports"][0] == {"name": "status", "containerPort": PORT}, name
        assert template["metadata"]["annotations"]["prometheus.io/port"] == str(PORT)
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {each["port"] for each in probes.values()} == {"status"}
        assert [probes[kind]["path"] for kind in probes] == ["/healthz", "/healthz", "/readyz"]
    policy = of_kind("NetworkPolicy", manifests)["stentor"]["spec"]
    assert [each["port"] for each in policy["ingress"][0]["ports"]] == [PORT]
    assert f"EXPOSE {PORT} {API_PORT}\n" in (DEPLOY / "Dockerfile").read_text("utf-8")


def test_what_pods_use_is_there(manifests: list[dict[str, Any]], kustomization: dict[str, Any]) -> None:
    """The config map is made of a file, and the secrets by the commands of the page."""
    maps = {each["name"]: each["files"] for each in kustomization["configMapGenerator"]}
    page = PAGE.read_text("utf-8")
    made = re.search(r"generic stentor-urls .*# (.+)", page)
    assert made
    for pod in pods(manifests).values():
        container = pod["containers"][0]
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert maps[volume["configMap"]["name"]] == ["stentor.toml"]
            if "secret" in volume:
                assert f"generic {volume['secret']['secretName']} " in page
        mounted = {each["name"] for each in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        for variable in container["env"]:
            if variable["name"] in API_VARIABLES:
                continue
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "stentor-urls"
            assert f"{reference['key']}=" in made[1]
    assert (KUBERNETES / "stentor.toml").exists()


def test_every_manifest_is_applied(kustomization: dict[str, Any]) -> None:
    assert {path.name for path in KUBERNETES.glob("*.yaml")} == {*kustomization["resources"], "kustomization.yaml"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")
def test_kustomize_takes_them(manifests: list[dict[str, Any]]) -> None:
    done = run("kubectl", "kustomize", KUBERNETES)
    assert done.returncode == 0, done.stderr
    built = list(YAML(typ="safe", pure=True).load_all(done.stdout))
    assert len(built) == len(manifests) + 1
    (settings,) = of_kind("ConfigMap", built)
    for pod in pods(built).values():
        assert [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each] == [settings]


def test_labels_and_selectors_fit(manifests: list[dict[str, Any]]) -> None:
    for name, deployment in of_kind("Deployment", manifests).items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert of_kind("PodDisruptionBudget", manifests)[name]["spec"]["selector"]["matchLabels"] == labels
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [each["labelSelector"]["matchLabels"] for each in spread] == [labels]
        policies = of_kind("NetworkPolicy", manifests)
        assert policies["stentor"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        if name == "stentor-api":
            assert policies[name]["spec"]["podSelector"]["matchLabels"] == labels
            assert of_kind("Service", manifests)[name]["spec"]["selector"] == labels


def test_the_image_is_one(
    compose: dict[str, Any], manifests: list[dict[str, Any]], kustomization: dict[str, Any]
) -> None:
    images = {pod["containers"][0]["image"] for pod in pods(manifests).values()}
    images |= {f"{each['newName']}:{each['newTag']}" for each in kustomization["images"]}
    images |= {re.sub(r"\$\{\w+:-(.+)\}", r"\1", compose["services"][role]["image"]) for role in ROLES}
    images |= set(re.findall(r"--tag (\S+)", PAGE.read_text("utf-8") + (DEPLOY / "Dockerfile").read_text("utf-8")))
    assert len(images) == 1
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert images == {f"stentor:{version.partition('.dev')[0]}"}


def test_the_build_gets_all_that_it_copies() -> None:
    """What is copied is let through, and exists."""
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = re.findall(
        r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    assert {name for line in copied for name in line.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


# -- the probe --------------------------------------------------------------------------------------------------------


@pytest.fixture
def status_page() -> Iterator[int]:
    """The port of a role that is alive and not ready."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()
            self.wfile.write(b'{"problems": ["the store was not reached yet"]}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Not on stderr."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_probe_tells_what_is_wrong(status_page: int) -> None:
    assert probe("/healthz", status_page) == ""
    assert probe("/readyz", status_page).startswith("/readyz: 503 ")
    assert "not reached yet" in probe("/readyz", status_page)


def test_the_probe_of_nobody() -> None:
    assert "refused" in probe("/healthz", port=1)
