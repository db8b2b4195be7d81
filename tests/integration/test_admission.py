"""Policies, webhooks and quotas that are slow, say no or are changed: a delay with a reason, whatever their code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from mageflow.controller.lease import LEASE_SECONDS

from .admission import EVICTIONS, JOBS, STOPS, Webhook, policy, webhook
from .control import Raw, RequestError, condition
from .many import create_many
from .process import COMMAND, Operator
from .stage import NOWHERE, TEMPLATE, Namespace, Workflow, wait_until
from .wire import Wire

RULE: Final = "team rule 7: every container needs limits"
PROBE: Final[Raw] = {
    "metadata": {"name": "probe"},
    "spec": {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}},
}


async def finish(namespace: Namespace, workflow: Workflow) -> None:
    pod = await workflow.wait_for_pod(run=1)
    await namespace.kubelet.start(pod)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded", run=1)


# ── refused ──


async def test_job_is_made_when_a_policy_that_refused_it_is_gone(namespace: Namespace) -> None:
    """It counted as the user's mistake for ever: a policy's own code is 422, as that of a schema is."""
    limits = "object.spec.template.spec.containers.all(c, has(c.resources) && has(c.resources.limits))"
    async with policy(namespace, JOBS, limits, RULE, probe=PROBE):
        workflow = await namespace.create()
        status = await workflow.wait_for("Pending", ready="Forbidden")
        assert RULE in condition(status, "Ready")["message"]
        assert not condition(status, "Stalled")
        assert (await namespace.wait_for_write("jobs", verb="create")).code == 422
        before = len(namespace.audit.writes(namespace.name))
        await namespace.wait_for_write("jobs", verb="create")
    await finish(namespace, workflow)
    statuses = [write for write in namespace.writes()[:before] if write.resource == "workflows/status"]
    assert len(statuses) == 1, "it is told once"


@pytest.mark.parametrize("code", [400, 409, 500])
async def test_job_is_made_when_a_webhook_that_refused_it_says_yes(
    namespace: Namespace, tmp_path: Path, code: int
) -> None:
    async with webhook(namespace, tmp_path, JOBS, Webhook(code, RULE)) as hook:
        workflow = await namespace.create()
        status = await workflow.wait_for("Pending", ready="Forbidden")
        assert RULE in condition(status, "Ready")["message"]
        await wait_until("it is tried again", lambda: _are_asked(hook, 3))
        lines = [line for line in namespace.operator.log.splitlines() if f"Workflow {namespace.name}/work" in line]
        assert len([line for line in lines if RULE in line]) == 1, "one line for a cause"
        assert [request for request in namespace.audit.requests(namespace.name) if not request.is_write] == []
        hook.code = None
        await finish(namespace, workflow)


async def test_job_is_made_when_a_webhook_that_is_down_is_up_again(namespace: Namespace, tmp_path: Path) -> None:
    async with webhook(namespace, tmp_path, JOBS, Webhook(), clientConfig={"url": "https://127.0.0.1:1/"}):
        workflow = await namespace.create()
        status = await workflow.wait_for("Pending", ready="JobNotCreated")
        assert "failed calling webhook" in condition(status, "Ready")["message"]
        await workflow.set_lifecycle("suspended")
        await workflow.wait_for("Suspended")  # at once: nothing can come of what a webhook has kept
        await workflow.set_lifecycle("active")
        await workflow.wait_for("Pending", ready="JobNotCreated")
    await workflow.wait_for_pod(run=2)


# ── slow ──


async def test_job_is_made_and_others_go_on_when_an_admission_takes_five_seconds(
    namespace: Namespace, tmp_path: Path
) -> None:
    """Twenty hang, which are more than there are workers; another starts, and a stop is carried out meanwhile."""
    quick = {"matchExpressions": [{"key": "mageflow.io/name", "operator": "NotIn", "values": ["quick"]}]}
    running, _ = await namespace.create_running("runs")
    async with webhook(namespace, tmp_path, JOBS, Webhook(seconds=5), objectSelector=quick) as hook:
        slow = [await namespace.create(f"slow-{number}") for number in range(20)]
        await wait_until("all are asked for", lambda: _are_asked(hook, len(slow)))
        other = await namespace.create("quick")
        await other.wait_for_pod()
        await running.set_lifecycle("interrupted")
        await running.wait_for("Interrupted")
        await asyncio.gather(*(workflow.wait_for_pod(run=1) for workflow in slow))
    statuses = [write for write in namespace.writes() if write.resource == "workflows/status"]
    assert len(statuses) > len(slow), "none stays empty"


async def _are_asked(hook: Webhook, count: int) -> bool:
    return hook.asked >= count


async def test_job_is_made_once_when_an_admission_takes_longer_than_the_lease(
    namespace: Namespace, wired: tuple[Wire, Path], tmp_path: Path
) -> None:
    """With --leader-elect, as by the chart, no request outlasted the Lease, and so none was ever answered."""
    namespace.operator.kill()
    operator = Operator(wired[1], tmp_path, (*COMMAND, "--leader-elect", "--lease-namespace", namespace.name))
    async with webhook(namespace, tmp_path, JOBS, Webhook(seconds=LEASE_SECONDS + 1)) as hook:
        await wait_until("the API server knows of the webhook", lambda: _asks_of_a_job(namespace, hook))
        await operator.start()
        try:
            await finish(namespace, await namespace.create())
            await namespace.wait_until_quiet()
        finally:
            operator.kill()
    assert len(namespace.audit.created_jobs(namespace.name)) == 1
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def _asks_of_a_job(namespace: Namespace, hook: Webhook) -> bool:
    await namespace.api.create(f"/apis/batch/v1/namespaces/{namespace.name}/jobs?dryRun=All", PROBE)
    return hook.asked > 0


async def test_nothing_is_held_before_it_is_known_what_comes_of_the_creation(
    namespace: Namespace, tmp_path: Path
) -> None:
    async with webhook(namespace, tmp_path, JOBS, Webhook(seconds=5)):
        workflow = await namespace.create()
        await workflow.wait_for("Pending")
        await workflow.set_lifecycle("suspended")
        status = await workflow.wait_for("Suspending")
        assert "creation" in condition(status, "Ready")["message"]
        assert status["tasks"][0]["phase"] == "Recorded"
        await workflow.wait_for("Suspended")
        assert not await workflow.live_pods()


# ── a stop that is refused ──


@pytest.mark.parametrize("reason", ["Forbidden", "Invalid"])
async def test_eviction_is_made_when_the_policy_that_refused_it_is_gone(namespace: Namespace, reason: str) -> None:
    workflow = await namespace.create(template=NOWHERE)
    await workflow.wait_for("Pending", ready="Unschedulable")
    async with policy(namespace, EVICTIONS, "false", "ask the storage team before you evict", reason=reason):
        await wait_until("the policy is in force", lambda: _is_eviction_denied(workflow))
        await workflow.set_lifecycle("suspended")
        status = await workflow.wait_for("Suspending", ready="EvictionRefused")
        assert "ask the storage team before you evict" in condition(status, "Ready")["message"]
        assert await workflow.live_pods()
    await workflow.wait_for("Suspended")


async def _is_eviction_denied(workflow: Workflow) -> bool:
    """Try it, without doing it."""
    (pod,) = await workflow.live_pods()
    body = {"metadata": {"name": pod["metadata"]["name"]}, "deleteOptions": {"dryRun": ["All"]}}
    path = f"/api/v1/namespaces/{workflow.namespace.name}/pods/{pod['metadata']['name']}/eviction"
    try:
        await workflow.namespace.api.create(path, {"apiVersion": "policy/v1", "kind": "Eviction", **body})
    except RequestError:
        return True
    return False


async def test_interrupt_is_made_when_the_webhook_that_refused_it_says_yes(
    namespace: Namespace, tmp_path: Path
) -> None:
    workflow, _ = await namespace.create_running()
    async with webhook(namespace, tmp_path, STOPS, Webhook()) as hook:
        await wait_until("the webhook is asked", lambda: _asks(namespace, hook, workflow))
        hook.code, hook.message = 403, "no Job is to be changed"
        await workflow.set_lifecycle("interrupted")
        status = await workflow.wait_for("Interrupting", ready="StopRefused")
        assert "no Job is to be changed" in condition(status, "Ready")["message"]
        hook.code = None
        await workflow.wait_for("Interrupted")


async def _asks(namespace: Namespace, hook: Webhook, workflow: Workflow) -> bool:
    (job,) = await workflow.jobs()
    path = f"/apis/batch/v1/namespaces/{namespace.name}/jobs/{job['metadata']['name']}"
    await namespace.api.patch(path, {"metadata": {"annotations": {"asked": str(hook.asked)}}})
    return hook.asked > 0


# ── a quota of Jobs ──


async def test_chain_ends_under_a_quota_of_jobs_as_those_that_have_ended_make_room(namespace: Namespace) -> None:
    """Its own finished Jobs filled the quota, and it waited for ever."""
    quotas = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    await namespace.api.create(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"count/jobs.batch": "2"}}})
    await wait_until("the quota is counted", lambda: _is_counted(namespace, f"{quotas}/few"))
    tasks = ("a", "b", "c", "d")
    chain = await create_many(namespace, "Chain", tasks=tasks)
    for task in tasks:
        await chain.finish(task, run=1)
    await chain.wait_for("Succeeded")
    assert (await chain.event_reasons()).count("JobDeletedForQuota") == 2
    assert len(await chain.jobs()) == 2


async def test_quota_is_named_when_no_job_of_the_resource_can_make_room(namespace: Namespace) -> None:
    quotas = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    await namespace.api.create(quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}})
    await wait_until("the quota is counted", lambda: _is_counted(namespace, f"{quotas}/none"))
    workflow = await namespace.create()
    status = await workflow.wait_for("Pending", ready="Forbidden")
    message = condition(status, "Ready")["message"]
    assert "exceeded quota: none" in message
    assert "no ended Job of this resource is left to make room" in message
    await namespace.api.delete(f"{quotas}/none")
    await workflow.wait_for_pod(run=1)


async def _is_counted(namespace: Namespace, path: str) -> bool:
    return bool((await namespace.api.get(path)).get("status", {}).get("used"))
