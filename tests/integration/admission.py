"""Policies and webhooks that a test puts between the operator and what it asks for."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from localcluster.certificates import Authority

from .control import Api, Raw, RequestError
from .stage import Namespace, wait_until

GROUP: Final = "/apis/admissionregistration.k8s.io/v1"
JOBS: Final[Raw] = {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}
EVICTIONS: Final[Raw] = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods/eviction"],
    "operations": ["CREATE"],
}
STOPS: Final[Raw] = {**JOBS, "operations": ["UPDATE"]}


@asynccontextmanager
async def policy(
    namespace: Namespace, rule: Raw, expression: str, message: str, *, probe: Raw | None = None, **facts: Any
) -> AsyncIterator[None]:
    """Have a ValidatingAdmissionPolicy deny what doesn't meet an expression, in this namespace, during the block.

    `probe` is a Job that it denies: it takes the API server seconds to learn of a policy, and a moment to forget it.
    """
    api, name = namespace.api, namespace.name
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": message, **facts}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    await api.create(f"{GROUP}/validatingadmissionpolicies", {"metadata": {"name": name}, "spec": spec})
    await api.create(f"{GROUP}/validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": binding})
    try:
        if probe is not None:
            await wait_until(f"the policy {name} is in force", lambda: _is_denied(api, name, probe))
        yield
    finally:
        await api.delete(f"{GROUP}/validatingadmissionpolicybindings/{name}")
        await api.delete(f"{GROUP}/validatingadmissionpolicies/{name}")


async def _is_denied(api: Api, namespace: str, probe: Raw) -> bool:
    try:
        await api.create(f"/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All", probe)
    except RequestError as error:
        return error.code == 422
    return False


@dataclass
class Webhook:
    """A webhook that says no with a code, or takes its time."""

    code: int | None = None
    """With which it says no; None: it says yes."""
    message: str = ""
    seconds: float = 0.0
    asked: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one AdmissionReview."""
        review = await request.json()
        self.asked += 1
        await asyncio.sleep(self.seconds)
        verdict: Raw = {"uid": review["request"]["uid"], "allowed": self.code is None}
        if self.code is not None:
            verdict["status"] = {"code": self.code, "message": self.message}
        return web.json_response({**review, "response": verdict})


@asynccontextmanager
async def webhook(namespace: Namespace, folder: Path, rule: Raw, hook: Webhook, **facts: Any) -> AsyncIterator[Webhook]:
    """Have a webhook asked for what a rule names in this namespace, during the block."""
    authority = Authority(folder)
    pair = authority.server("webhook", ["127.0.0.1"], "webhook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    app = web.Application(client_max_size=2**25)
    app.router.add_post("/{path:.*}", hook.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    bundle = base64.b64encode(authority.pair.certificate.read_bytes()).decode()
    config: Mapping[str, Any] = {
        "name": "rules.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{runner.addresses[0][1]}/", "caBundle": bundle},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 30,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
        **facts,
    }
    path = f"{GROUP}/validatingwebhookconfigurations"
    await namespace.api.create(path, {"metadata": {"name": namespace.name}, "webhooks": [config]})
    try:
        yield hook
    finally:
        await namespace.api.delete(f"{path}/{namespace.name}")
        await runner.cleanup()
