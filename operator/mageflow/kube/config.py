"""Which cluster, and who asks: found where `kubectl` and client-go look."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME
from yaml import YAMLError

from mageflow.kube.errors import ConfigError

NAMESPACE_FILE: Final = Path(SERVICE_TOKEN_FILENAME).with_name("namespace")
"""Tells a pod its namespace."""


@dataclass(frozen=True, slots=True)
class Config:
    """How to reach a cluster."""

    configuration: Any
    """The Kubernetes client's own `Configuration`, which also renews credentials."""
    namespace: str
    """The context's, or the pod's own, else `default`."""


async def load_config(kubeconfig: str | Path | None = None, context: str | None = None) -> Config:
    """Find the cluster: the kubeconfig if one is named or there, else the pod's service account.

    Raises ConfigError, saying what was looked for.
    """
    paths = str(kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
    is_asked_for = kubeconfig is not None or context is not None
    configuration = Configuration()
    try:
        if _is_there(*paths.split(os.pathsep)):
            loader = await load_kube_config(paths, context, configuration, persist_config=False)
            current = loader.current_context or {}
            namespace = (current.get("context") or {}).get("namespace")
        elif not is_asked_for and _is_there(SERVICE_TOKEN_FILENAME):
            load_incluster_config(client_configuration=configuration)
            namespace = read_own_namespace()
        else:
            account = f" nor a service account ({SERVICE_TOKEN_FILENAME}, {SERVICE_HOST_ENV_NAME})"
            where = f"kubeconfig ({paths}; set KUBECONFIG to name another)"
            raise ConfigError(f"no cluster: no {where}" if is_asked_for else f"no cluster: neither a {where}{account}")
    except (ConfigException, YAMLError, OSError, AttributeError, TypeError, ValueError, LookupError) as error:
        # The library checks little: an empty file is a TypeError.
        raise ConfigError(f"the kubeconfig ({paths}) or service account can't be used: {error}") from error
    return Config(configuration, namespace or "default")


def _is_there(*paths: str) -> bool:
    return any(path and Path(path).expanduser().exists() for path in paths)


def read_own_namespace() -> str | None:
    """Return the namespace of the pod that this process runs in; None outside of a cluster."""
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else None
