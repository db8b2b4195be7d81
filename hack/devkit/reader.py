"""Reads over one connection: what a test asks again and again isn't worth a kubectl each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

from mageflow.api import API_VERSION, KINDS

Raw = dict[str, Any]

PATHS: Final[Mapping[str, str]] = {
    **{kind.singular: f"/apis/{API_VERSION}/namespaces/{{}}/{kind.plural}" for kind in KINDS},
    "jobs": "/apis/batch/v1/namespaces/{}/jobs",
    "pods": "/api/v1/namespaces/{}/pods",
    "nodes": "/api/v1/nodes",
}
"""Where the objects of a kind are in a namespace, by the word that tests have for the kind."""


class Reader:
    """Reads of one namespace, of the kinds in PATHS."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._api: Any = None

    def find(self, kind: str, name: str) -> Raw | None:
        """Return one object, None if there is no such object."""
        return self._get(f"{PATHS[kind].format(self._namespace)}/{name}")

    def find_all(self, kind: str, selector: str) -> list[Raw]:
        """Return all objects that carry the labels of `selector`, each with its kind, as kubectl writes it."""
        listed = self._get(PATHS[kind].format(self._namespace), {"labelSelector": selector}) or {}
        kind = listed["kind"].removesuffix("List")
        return [{"apiVersion": listed["apiVersion"], "kind": kind, **item} for item in listed["items"]]

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Raw | None:
        """Raises ApiException if it is refused for another reason than that it isn't there."""
        if self._api is None:
            self._api = new_client_from_config(str(self._kubeconfig), persist_config=False)
        request = self._api.param_serialize(
            "GET", path, query_params=[*(query or {}).items()], auth_settings=["BearerToken"]
        )
        answer = self._api.call_api(*request)
        text = answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise ApiException(http_resp=answer)
        document: Raw = json.loads(text)
        return document
