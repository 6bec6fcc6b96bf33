"""What the manifests of every overlay have to satisfy, beyond the schemas of Kubernetes.

python deploy/k8s/checks.py small production      (exits 1 and names each fault)

Held against the code: settings against each service's `Settings`, topics against `common.topics`, scaling against the
topics and groups that each service's `main.py` wires.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, get_args

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import yaml
from common.config import GRACE_SECONDS, ServiceSettings
from common.consumer import Subscription
from common.topics import BY_NAME, all_names
from pydantic import SecretStr

HERE = Path(__file__).parent
SERVICES = {"routing": "routing", "dialer": "dialer", "crm-bridge": "crm_bridge", "billing": "billing", "kpi": "kpi"}
"""Name in the cluster → import name."""
PORT = 8000
KUBERNETES = "1.34"
_MARGIN_SECONDS = 5

Document: TypeAlias = Mapping[str, Any]

_TELEMETRY = re.compile(r"OTEL_[A-Z_]+")
"""Read by the OpenTelemetry SDK itself."""
CUSTOM: Mapping[str, Any] = yaml.safe_load((HERE / "custom-resources.yaml").read_text())
"""Schemas of the kinds that operators define, by kind."""


def render(overlay: str) -> list[dict[str, Any]]:
    """The documents of `overlays/<overlay>`. Raises CalledProcessError, with kustomize's words in `stderr`."""
    kubectl = Path(sys.executable).with_name("kubectl")
    command = [str(kubectl), "kustomize", str(HERE / "overlays" / overlay)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return [document for document in yaml.safe_load_all(text) if document]


def settings_of(service: str) -> type[ServiceSettings]:
    """The class that the service's `main.py` reads its environment with."""
    settings: type[ServiceSettings] = import_module(f"{SERVICES[service]}.config").Settings
    return settings


def secret_keys(service: str) -> set[str]:
    """Settings that may stand only in a Secret."""
    fields = settings_of(service).model_fields
    return {
        name.upper()
        for name, field in fields.items()
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
    }


def consumed_topics(service: str) -> set[str]:
    """Topics that the service's `main.py` wires to a consumer of the service's own group."""
    return {topic for reads in subscriptions(service) if reads.group is None for topic in reads.topics}


def subscriptions(service: str) -> tuple[Subscription, ...]:
    """The subscriptions that the service's `main.py` wires, in that order."""
    return tuple(_value(call.args[0], constants) for call, constants in _calls_in_main(service, "consumer"))


def consumer_group(service: str) -> str:
    """The name under which `main.py` runs the service: its consumer group."""
    [(call, constants)] = _calls_in_main(service, "run", method=False)
    return str(_value(call.args[0], constants))


def _calls_in_main(service: str, name: str, *, method: bool = True) -> Iterator[tuple[ast.Call, dict[str, Any]]]:
    main = import_module(f"{SERVICES[service]}.main")
    assert main.__file__ is not None
    for node in ast.walk(ast.parse(Path(main.__file__).read_text())):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Attribute(attr=attribute) if method and attribute == name:
                    yield node, vars(main)
                case ast.Name(id=identifier) if not method and identifier == name:
                    yield node, vars(main)


def _value(expression: ast.expr, constants: dict[str, Any]) -> Any:
    return eval(ast.unparse(expression), constants)  # noqa: S307 - our own module's constant


def faults(documents: Sequence[Document]) -> list[str]:
    """Every fault of one overlay's documents, as `Kind/name: what is wrong`; none when all is well."""
    return [
        *_schema_faults(documents),
        *_reference_faults(documents),
        *(fault for pod in _pods(documents) for fault in _pod_faults(*pod)),
        *_settings_faults(documents),
        *_topic_faults(documents),
        *_scaling_faults(documents),
    ]


def _name(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def _of(documents: Sequence[Document], kind: str) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def _pods(documents: Sequence[Document]) -> Iterator[tuple[Document, Document]]:
    for kind in ("Deployment", "Job"):
        for document in _of(documents, kind).values():
            yield document, document["spec"]["template"]["spec"]


def _schema_faults(documents: Sequence[Document]) -> Iterator[str]:
    for repeated, times in Counter(map(_name, documents)).items():
        if times > 1:
            yield f"{repeated}: defined {times} times"
    for document in documents:
        fault = _schema_fault(json.dumps(document, sort_keys=True))
        if fault is not None:
            yield f"{_name(document)}: {fault}"


@cache
def _schema_fault(text: str) -> str | None:
    """Cached by the document's text, because overlays share most documents and the schemas are large."""
    document = json.loads(text)
    try:
        if document["kind"] in CUSTOM:
            jsonschema.validate(document, CUSTOM[document["kind"]])
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except jsonschema.ValidationError as fault:
        return f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"{document['apiVersion']} is not known"
    return None


def _reference_faults(documents: Sequence[Document]) -> Iterator[str]:
    """Each service has one of each kind, and what they name is there."""
    for kind in ("ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "ScaledObject"):
        found = set(_of(documents, kind))
        for service in SERVICES.keys() ^ found:
            yield f"{kind}/{service}: {'missing' if service in SERVICES else 'belongs to no service'}"
    jobs = _of(documents, "Job")
    maps = _of(documents, "ConfigMap")
    authentications = _of(documents, "TriggerAuthentication")
    for service, import_name in SERVICES.items():
        job = jobs.get(f"{service}-migration")
        if job is None:
            yield f"Job/{service}-migration: missing"
        elif job["spec"]["template"]["spec"]["containers"][0]["args"][1:] != [
            "-m",
            "common.migrations",
            "upgrade",
            import_name,
        ]:
            yield f"{_name(job)}: does not migrate {import_name}"
    for name, deployment in _of(documents, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        pod = deployment["spec"]["template"]["spec"]
        selectors = {
            _name(deployment): deployment["spec"]["selector"]["matchLabels"],
            **{
                f"{kind}/{name}": document["spec"].get(field, {}).get("matchLabels", document["spec"].get(field, {}))
                for kind, field in (
                    ("Service", "selector"),
                    ("PodDisruptionBudget", "selector"),
                    ("NetworkPolicy", "podSelector"),
                )
                if (document := _of(documents, kind).get(name))
            },
            **{
                f"{_name(deployment)} spread over {spread['topologyKey']}": spread["labelSelector"]["matchLabels"]
                for spread in pod.get("topologySpreadConstraints", [])
            },
        }
        for where, selector in selectors.items():
            if selector.get("app.kubernetes.io/name") != name or not selector.items() <= labels.items():
                yield f"{where}: its selector does not match the pods of {name}"
        if pod.get("serviceAccountName") != name:
            yield f"{_name(deployment)}: runs as another service's account"
        for source in _settings_sources(pod):
            if source not in maps:
                yield f"{_name(deployment)}: ConfigMap/{source} is missing"
    for name, scaled in _of(documents, "ScaledObject").items():
        if scaled["spec"]["scaleTargetRef"]["name"] != name:
            yield f"{_name(scaled)}: scales another Deployment"
        for trigger in scaled["spec"]["triggers"]:
            if "authenticationRef" in trigger and trigger["authenticationRef"]["name"] not in authentications:
                yield f"{_name(scaled)}: TriggerAuthentication/{trigger['authenticationRef']['name']} is missing"


def _pod_faults(document: Document, pod: Document) -> Iterator[str]:
    """Not root, no token, nothing writable but /tmp, bounded; a server also answers its probes."""
    name = _name(document)
    for field in ("automountServiceAccountToken", "enableServiceLinks"):
        if pod.get(field) is not False:
            yield f"{name}: {field} is not false"
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield f"{name}: may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{name}: seccompProfile is not RuntimeDefault"
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        where = f"{name} container {container['name']}"
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged") is not False:
            yield f"{where}: may gain privileges"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{where}: root file system is writable"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{where}: keeps capabilities"
        for bound in ("requests", "limits"):
            missing = {"cpu", "memory", "ephemeral-storage"} - container.get("resources", {}).get(bound, {}).keys()
            if missing:
                yield f"{where}: resources.{bound} lack {', '.join(sorted(missing))}"
        if not re.fullmatch(r".+[:@][^:/]+", container["image"]) or container["image"].endswith(":latest"):
            yield f"{where}: image {container['image']} names no version"
        mounts = {mount["mountPath"]: volumes.get(mount["name"]) for mount in container.get("volumeMounts", [])}
        if "emptyDir" not in (mounts.get("/tmp") or {}):  # noqa: S108
            yield f"{where}: /tmp is not writable"
        if document["kind"] == "Deployment":
            yield from _server_faults(where, container, mounts, document)
    if document["kind"] == "Deployment":
        needed = _hook_seconds(pod) + GRACE_SECONDS + _MARGIN_SECONDS
        if pod.get("terminationGracePeriodSeconds", 30) < needed:
            yield f"{name}: has less than the {needed:g} s that its preStop hook and `grace_seconds` take"


def _hook_seconds(pod: Document) -> float:
    hooks = [container.get("lifecycle", {}).get("preStop", {}) for container in pod["containers"]]
    return float(max((hook.get("sleep", {}).get("seconds", 0) for hook in hooks), default=0))


def _server_faults(
    where: str, container: Document, mounts: Mapping[str, Document | None], document: Document
) -> Iterator[str]:
    for probe, path in (("startup", "/health/live"), ("liveness", "/health/live"), ("readiness", "/health/ready")):
        get = container.get(f"{probe}Probe", {}).get("httpGet", {})
        if (get.get("path"), get.get("port")) != (path, "http"):
            yield f"{where}: {probe}Probe does not ask {path}"
    if {"name": "http", "containerPort": PORT} not in container.get("ports", []):
        yield f"{where}: port {PORT} is not named http"
    secrets = (mounts.get("/run/secrets") or {}).get("secret", {})
    if secrets.get("secretName") != f"{document['metadata']['name']}-secrets":
        yield f"{where}: /run/secrets is not the service's own Secret"
    scrape = document["spec"]["template"]["metadata"].get("annotations", {})
    if scrape.get("prometheus.io/scrape") != "true" or scrape.get("prometheus.io/port") != str(PORT):
        yield f"{where}: Prometheus does not find its metrics"


def _settings_sources(pod: Document) -> list[str]:
    return [
        source["configMapRef"]["name"]
        for container in pod["containers"]
        for source in container.get("envFrom", [])
        if "configMapRef" in source
    ]


def _settings_faults(documents: Sequence[Document]) -> Iterator[str]:
    """Every name is a setting of the service that gets it, no secret stands in the open, and nothing is wanting."""
    maps = _of(documents, "ConfigMap")
    for service, deployment in _of(documents, "Deployment").items():
        if service not in SERVICES:
            continue
        fields = settings_of(service).model_fields
        pod = deployment["spec"]["template"]["spec"]
        given: dict[str, Any] = {}
        for source in _settings_sources(pod):
            given |= maps.get(source, {}).get("data", {})
        for container in pod["containers"]:
            given |= {entry["name"]: entry.get("value") for entry in container.get("env", [])}
        for name, value in given.items():
            if _TELEMETRY.fullmatch(name):
                continue
            if name != name.upper() or name.lower() not in fields:
                yield f"{_name(deployment)}: {name} is no setting of {service}"
            elif name in secret_keys(service) and value is not None:
                yield f"{_name(deployment)}: {name} belongs in a Secret"
        required = {name.upper() for name, field in fields.items() if field.is_required()}
        for name in sorted(required - given.keys() - secret_keys(service)):
            yield f"{_name(deployment)}: {name} is not set"
        if given.get("HTTP_PORT") != str(PORT) or given.get("HTTP_HOST") != "0.0.0.0":  # noqa: S104
            yield f"{_name(deployment)}: does not listen on port {PORT} of the pod"


def _topic_faults(documents: Sequence[Document]) -> Iterator[str]:
    topics = _of(documents, "KafkaTopic")
    for name in sorted(topics.keys() ^ set(all_names())):
        yield f"KafkaTopic/{name}: {'not in the catalogue' if name in topics else 'missing'}"
    for name, topic in topics.items():
        spec = topic["spec"]
        if name in BY_NAME and spec["partitions"] != BY_NAME[name].partitions:
            yield f"{_name(topic)}: {spec['partitions']} partitions, the catalogue says {BY_NAME[name].partitions}"
        if spec["config"]["min.insync.replicas"] > spec["replicas"]:
            yield f"{_name(topic)}: can never have {spec['config']['min.insync.replicas']} replicas in sync"


def _scaling_faults(documents: Sequence[Document]) -> Iterator[str]:
    for service, scaled in _of(documents, "ScaledObject").items():
        if service not in SERVICES:
            continue
        spec = scaled["spec"]
        triggers = [trigger["metadata"] for trigger in spec["triggers"]]
        topics = {trigger["topic"] for trigger in triggers}
        for topic in sorted(topics ^ consumed_topics(service)):
            does = "does not consume" if topic in topics else "also consumes"
            yield f"{_name(scaled)}: {service} {does} {topic}"
        for topic in sorted(topics):
            if topic not in BY_NAME:
                yield f"{_name(scaled)}: topic {topic} is not in the catalogue"
        for group in {trigger["consumerGroup"] for trigger in triggers} - {consumer_group(service)}:
            yield f"{_name(scaled)}: group {group} is not {service}'s"
        widest = max((BY_NAME[topic].partitions for topic in topics & BY_NAME.keys()), default=0)
        if not spec["minReplicaCount"] <= spec["maxReplicaCount"] <= widest:
            bounds = f"{spec['minReplicaCount']} to {spec['maxReplicaCount']} replicas"
            yield f"{_name(scaled)}: {bounds} of {widest} partitions"


def main() -> None:
    """Command line."""
    found = [f"{overlay}: {fault}" for overlay in sys.argv[1:] for fault in faults(render(overlay))]
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
