"""The cluster that the user's kubeconfig points to."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from localcluster.errors import ClusterError


def kubeconfig() -> Path:
    """Return the first file of $KUBECONFIG, or the one in the home folder."""
    paths = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return Path(paths[0]) if paths[0] else Path.home() / ".kube" / "config"


def check() -> str:
    """Return the API server's version; raise ClusterError if it does not answer."""
    try:
        config.load_kube_config()
        configuration = client.Configuration.get_default_copy()
        configuration.retries = False
        with client.ApiClient(configuration) as api:
            return str(client.VersionApi(api).get_code(_request_timeout=10).git_version)
    except (ConfigException, client.ApiException, HTTPError, OSError) as error:
        raise ClusterError(
            f"The cluster of {kubeconfig()} does not answer: {error}",
            "Try `kubectl version` with the same KUBECONFIG, or leave CLUSTER unset to have a cluster made.",
        ) from error
