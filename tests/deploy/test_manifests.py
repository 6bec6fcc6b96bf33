"""The manifests of both overlays are sound, and each check finds what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

Documents: TypeAlias = list[dict[str, Any]]

OVERLAYS = ("small", "production")


@pytest.fixture(scope="module")
def rendered(checks: ModuleType) -> dict[str, Documents]:
    return {overlay: checks.render(overlay) for overlay in OVERLAYS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_has_no_fault(checks: ModuleType, rendered: dict[str, Documents], overlay: str) -> None:
    assert checks.faults(rendered[overlay]) == []


def test_topics_are_those_of_the_catalogue(generate_topics: ModuleType) -> None:
    assert generate_topics.FILE.read_text() == generate_topics.rendered(), "run deploy/k8s/generate_topics.py"


def test_production_survives_the_loss_of_a_node(rendered: dict[str, Documents]) -> None:
    documents = rendered["production"]
    assert all(one(documents, "ScaledObject", name)["spec"]["minReplicaCount"] >= 2 for name in SERVICES)
    for name in SERVICES:
        spreads = pod(documents, name)["topologySpreadConstraints"]
        assert {spread["topologyKey"]: spread["whenUnsatisfiable"] for spread in spreads} == {
            "topology.kubernetes.io/zone": "ScheduleAnyway",
            "kubernetes.io/hostname": "DoNotSchedule",
        }
    assert all(topic["spec"]["replicas"] == 3 for topic in documents if topic["kind"] == "KafkaTopic")


def test_every_secret_is_documented(checks: ModuleType, root: Path) -> None:
    readme = (root / "deploy" / "k8s" / "README.md").read_text()
    missing = {key for service in SERVICES for key in checks.secret_keys(service) if f"`{key}`" not in readme}
    assert missing == set()


SERVICES = ("routing", "dialer", "crm-bridge", "billing", "kpi")


def one(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    """The document of that kind whose name is `name`, or begins with it and a generated suffix."""
    [found] = [
        document
        for document in documents
        if document["kind"] == kind and document["metadata"]["name"].removeprefix(name).split("-")[0] == ""
    ]
    return found


def pod(documents: Documents, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(documents, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(documents: Documents, name: str) -> dict[str, Any]:
    found: dict[str, Any] = pod(documents, name)["containers"][0]
    return found


def scaling(documents: Documents, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(documents, "ScaledObject", name)["spec"]
    return spec


Plant: TypeAlias = Callable[[Documents], Any]

PLANTED: dict[str, tuple[Plant, str]] = {
    "no liveness probe": (
        lambda d: container(d, "billing").pop("livenessProbe"),
        "Deployment/billing container service: livenessProbe does not ask /health/live",
    ),
    "readiness asks the wrong path": (
        lambda d: container(d, "kpi")["readinessProbe"]["httpGet"].update(path="/health/live"),
        "Deployment/kpi container service: readinessProbe does not ask /health/ready",
    ),
    "writable root": (
        lambda d: container(d, "dialer")["securityContext"].update(readOnlyRootFilesystem=False),
        "Deployment/dialer container service: root file system is writable",
    ),
    "capability added": (
        lambda d: container(d, "dialer")["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "Deployment/dialer container service: keeps capabilities",
    ),
    "privilege escalation": (
        lambda d: container(d, "dialer")["securityContext"].pop("allowPrivilegeEscalation"),
        "Deployment/dialer container service: may gain privileges",
    ),
    "root user": (
        lambda d: pod(d, "routing")["securityContext"].pop("runAsNonRoot"),
        "Deployment/routing: may run as root",
    ),
    "no time to stop": (
        lambda d: pod(d, "routing").__setitem__("terminationGracePeriodSeconds", 34),
        "Deployment/routing: has less than the 35 s that its preStop hook and `grace_seconds` take",
    ),
    "token mounted": (
        lambda d: pod(d, "routing").pop("automountServiceAccountToken"),
        "Deployment/routing: automountServiceAccountToken is not false",
    ),
    "no memory limit": (
        lambda d: container(d, "routing")["resources"]["limits"].pop("memory"),
        "Deployment/routing container service: resources.limits lack memory",
    ),
    "migration without limits": (
        lambda d: one(d, "Job", "kpi")["spec"]["template"]["spec"]["containers"][0].pop("resources"),
        "Job/kpi-migration container migration: resources.limits lack cpu, ephemeral-storage, memory",
    ),
    "migration of another service": (
        lambda d: one(d, "Job", "kpi")["spec"]["template"]["spec"]["containers"][0]["args"].__setitem__(4, "billing"),
        "Job/kpi-migration: does not migrate kpi",
    ),
    "unknown setting": (
        lambda d: one(d, "ConfigMap", "billing")["data"].update(DATABASE_POOLSIZE="3"),
        "Deployment/billing: DATABASE_POOLSIZE is no setting of billing",
    ),
    "setting of another service": (
        lambda d: one(d, "ConfigMap", "billing")["data"].update(WEBHOOK_TIMEOUT_SECONDS="3"),
        "Deployment/billing: WEBHOOK_TIMEOUT_SECONDS is no setting of billing",
    ),
    "secret in the open": (
        lambda d: one(d, "ConfigMap", "billing")["data"].update(DATABASE_URL="postgresql://"),
        "Deployment/billing: DATABASE_URL belongs in a Secret",
    ),
    "setting wanting": (
        lambda d: one(d, "ConfigMap", "plateau")["data"].pop("JWT_ISSUER"),
        "Deployment/kpi: JWT_ISSUER is not set",
    ),
    "selector of another service": (
        lambda d: one(d, "Service", "kpi")["spec"]["selector"].update({"app.kubernetes.io/name": "billing"}),
        "Service/kpi: its selector does not match the pods of kpi",
    ),
    "disruption budget missing": (
        lambda d: d.remove(one(d, "PodDisruptionBudget", "crm-bridge")),
        "PodDisruptionBudget/crm-bridge: missing",
    ),
    "another service's secret": (
        lambda d: pod(d, "kpi")["volumes"][0]["secret"].update(secretName="billing-secrets"),
        "Deployment/kpi container service: /run/secrets is not the service's own Secret",
    ),
    "topic missing": (
        lambda d: d.remove(one(d, "KafkaTopic", "cases.dead")),
        "KafkaTopic/cases.dead-letters: missing",
    ),
    "partitions differ": (
        lambda d: one(d, "KafkaTopic", "agents")["spec"].update(partitions=7),
        "KafkaTopic/agents: 7 partitions, the catalogue says 6",
    ),
    "scaled by a topic that is not consumed": (
        lambda d: scaling(d, "billing")["triggers"][0]["metadata"].update(topic="contacts"),
        "ScaledObject/billing: billing does not consume contacts",
    ),
    "scaled by another group": (
        lambda d: scaling(d, "crm-bridge")["triggers"][0]["metadata"].update(consumerGroup="kpi"),
        "ScaledObject/crm-bridge: group kpi is not crm-bridge's",
    ),
    "more replicas than partitions": (
        lambda d: scaling(d, "routing").update(maxReplicaCount=13),
        "of 12 partitions",
    ),
    "misspelt field of a Deployment": (
        lambda d: container(d, "kpi").update(livenesProbe={}),
        "Deployment/kpi: spec.template.spec.containers.0",
    ),
    "misspelt field of a custom resource": (
        lambda d: scaling(d, "kpi").update(maxReplicas=3),
        "ScaledObject/kpi: spec: Additional properties are not allowed ('maxReplicas' was unexpected)",
    ),
    "old version of a custom resource": (
        lambda d: one(d, "KafkaTopic", "agents").update(apiVersion="kafka.strimzi.io/v1beta2"),
        "KafkaTopic/agents: apiVersion",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_found(checks: ModuleType, rendered: dict[str, Documents], name: str) -> None:
    plant, expected = PLANTED[name]
    documents = deepcopy(rendered["small"])
    plant(documents)
    found = checks.faults(documents)
    assert any(expected in fault for fault in found), found
