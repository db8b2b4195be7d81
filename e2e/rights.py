"""The chart's own service account, and what the audit log says of its rights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from devkit.audit import Request
from devkit.cluster import Cluster
from devkit.helm import CHART, Helm
from devkit.kubectl import Kubectl, Raw
from localcluster.tools import write_whole

OTHER_REFUSALS = ("exceeded quota", "because it is being terminated")
"""What a message says of a 403 that is not for want of rights."""


class Right(NamedTuple):
    """One verb on one resource, as a rule grants it and a request uses it."""

    verb: str
    group: str
    resource: str
    """With its subresource, as in pods/eviction."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


@dataclass(frozen=True)
class Account:
    """A service account that has what the chart grants to the operator in all namespaces, and how to act as it."""

    user: str
    kubeconfig: Path
    rights: frozenset[Right]


def make_account(cluster: Cluster, helm: Helm, name: str) -> Account:
    """Create it in a namespace of its own, from what the chart renders for a release of that name."""
    text = helm.run(
        "template",
        name,
        str(CHART),
        f"--namespace={name}",
        "--kube-version=1.34",
        "--show-only=templates/rbac.yaml",
        "--show-only=templates/serviceaccount.yaml",
    )
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, name)
    kubectl.run("create", "namespace", name)
    kubectl.run("apply", "--filename=-", stdin=text)
    token = kubectl.run("create", "token", name, "--duration=24h").strip()
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    return Account(user_of(name, name), _write_kubeconfig(cluster, token), find_rights(manifests))


def remove_account(cluster: Cluster, name: str) -> None:
    """Delete it, with what was bound to it."""
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, name)
    kubectl.run("delete", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--ignore-not-found")
    kubectl.run("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def user_of(namespace: str, name: str) -> str:
    """Return what the API server calls a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def find_rights(manifests: Iterable[Raw]) -> frozenset[Right]:
    """Return what the roles among the manifests grant."""
    return frozenset(
        Right(verb, group, resource)
        for manifest in manifests
        for rule in manifest.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def used_right(request: Request) -> Right:
    """Return the right that a request took."""
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    return Right(request.verb, request.group, resource)


def find_refusals(requests: Iterable[Request]) -> list[str]:
    """Return what was refused for want of rights."""
    return [
        f"{used_right(request)} in {request.namespace or 'the cluster'}: {request.message}"
        for request in requests
        if request.code == 403 and not any(words in request.message for words in OTHER_REFUSALS)
    ]


def _write_kubeconfig(cluster: Cluster, token: str) -> Path:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    current = next(one for one in config["contexts"] if one["name"] == config["current-context"])
    config |= {"contexts": [current], "users": [{"name": current["context"]["user"], "user": {"token": token}}]}
    path = cluster.logs.parent / "kubeconfig-operator"
    write_whole(path, yaml.safe_dump(config))
    return path
