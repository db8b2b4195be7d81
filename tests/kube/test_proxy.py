"""The proxy on the way to the API server is looked up once, and where kubectl looks."""

from __future__ import annotations

import pytest
from kubernetes.aio.client import Configuration

from mageflow.kube.http import HttpTransport, find_proxy

SERVER = "https://cluster.example:6443"


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://me:secret@proxy:3128"}, "http://me:secret@proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "cluster.example"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other.example"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
    ],
)
def test_proxy_is_the_one_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], found: str | None
) -> None:
    set_environment(monkeypatch, environment)
    assert find_proxy(SERVER) == found


@pytest.mark.parametrize(
    ("of_kubeconfig", "found"), [(None, "http://proxy:3128"), ("http://other:3128", "http://other:3128")]
)
async def test_sessions_have_the_proxy_and_look_for_none_at_each_request(
    monkeypatch: pytest.MonkeyPatch, of_kubeconfig: str | None, found: str
) -> None:
    """aiohttp looked for it, and for a netrc, in a thread: a third of all CPU. The kubeconfig's goes first."""
    set_environment(monkeypatch, {"HTTPS_PROXY": "http://proxy:3128"})
    transport = HttpTransport(Configuration(host=SERVER, proxy=of_kubeconfig), "test")
    async with transport.open_session() as session:
        assert session.trust_env is False
        assert str(session._default_proxy) == found
    await transport.close()


def set_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
