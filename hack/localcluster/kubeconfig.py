"""Kubeconfig files whose certificates lie beside them, embedded."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from localcluster.certificates import KeyPair
from localcluster.files import write_whole


def write_kubeconfig(path: Path, server: str, authority: Path, user: str, pair: KeyPair) -> Path:
    """Write a kubeconfig that needs no other file; `server` is a URL. Returns the path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "mageflow-local",
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _encoded(pair.certificate),
                    "client-key-data": _encoded(pair.key),
                },
            }
        ],
        "contexts": [{"name": "mageflow-local", "context": {"cluster": "mageflow-local", "user": user}}],
        "current-context": "mageflow-local",
    }
    write_whole(path, yaml.safe_dump(config, sort_keys=False))
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
