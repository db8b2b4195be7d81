"""What policies and quotas refuse is told, and tried again until it is let through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from devkit.gitops.watched import WatchedKubectl
from devkit.kubectl import Kubectl, KubectlError, Raw, condition
from devkit.patience import PATIENCE

from .resources import (
    IMAGE,
    apply,
    chain,
    create,
    run_mageflow,
    template,
    wait_for_message,
    wait_for_reason,
    workflow,
)
from .sidebyside import side_by_side

NOWHERE: Final[Raw] = {"nodeSelector": {"example.mageflow.io/pool": "none"}}


# ── policies ──


@contextmanager
def policy(kubectl: Kubectl, group: str, resource: str, expression: str, message: str) -> Iterator[None]:
    """Have creations of a resource in the namespace refused unless an expression is true, with the code of no reason.

    A policy comes into force some time after it was made: `is_in_force` is for finding out.
    """
    name = kubectl.namespace
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    apply(
        kubectl,
        {
            **kind,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression, "message": message}],
            },
        },
        {
            **kind,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": here},
        },
    )
    try:
        yield
    finally:
        for thing in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            kubectl.run("delete", thing, name, "--ignore-not-found")


def wait_until_refused(kubectl: Kubectl, message: str, *arguments: str, stdin: str | None = None) -> None:
    """Try something, which changes nothing, until it is refused with a message."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            kubectl.run(*arguments, stdin=stdin)
        except KubectlError as error:
            if message in str(error):
                return
        assert time.monotonic() < deadline, f"it isn't refused: {arguments}"
        time.sleep(0.2)


@side_by_side
def test_it_runs_without_an_edit_when_a_policy_that_refused_its_job_is_lifted(kubectl: WatchedKubectl) -> None:
    message = "team rule 7: every container needs limits"
    limits = "object.spec.template.spec.containers.all(c, has(c.resources) && has(c.resources.limits))"
    with policy(kubectl, "batch", "jobs", limits, message):
        probe = ("create", "job", "probe", f"--image={IMAGE}", "--dry-run=server", "--", "true")
        wait_until_refused(kubectl, message, *probe)
        name = create(kubectl, workflow("ruled", template("true")))
        status = wait_for_message(kubectl, name, message)

        assert condition(status, "Stalled").get("status", "False") == "False", "it is the user's mistake for ever"
        assert "about to start" not in run_mageflow(kubectl, "explain", "ruled").stdout
    status = kubectl.wait_for_phase(name, "Succeeded")
    assert (status["tasks"][0]["run"], status["tasks"][0].get("failures", 0)) == (1, 0)


@side_by_side
def test_refused_eviction_is_told_and_tried_again_when_a_policy_denies_it(kubectl: WatchedKubectl) -> None:
    message = "ask the storage team before you evict"
    name = create(kubectl, workflow("kept", template("true", **NOWHERE)))
    wait_for_reason(kubectl, name, "Unschedulable")
    (pod,) = (pod["metadata"]["name"] for pod in kubectl.pods_of(name))
    with policy(kubectl, "", "pods/eviction", "false", message):
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        eviction["metadata"]["namespace"] = kubectl.namespace  # type: ignore[index]
        dry = json.dumps(eviction | {"deleteOptions": {"dryRun": ["All"]}})
        wait_until_refused(kubectl, message, "create", "--raw", path, "--filename=-", stdin=dry)
        kubectl.set_lifecycle(name, "suspended")
        status = wait_for_message(kubectl, name, message)

        assert status["phase"] == "Suspending"
        assert message in run_mageflow(kubectl, "explain", "kept").stdout
    kubectl.wait_for_phase(name, "Suspended")
    assert kubectl.live_pods_of(name) == []


# ── quotas ──


@side_by_side
def test_chain_succeeds_by_itself_when_its_finished_jobs_fill_the_quota(kubectl: WatchedKubectl) -> None:
    kubectl.run("create", "quota", "few", "--hard=count/jobs.batch=2")
    name = create(kubectl, chain("four", {f"t{number}": template("true") for number in range(4)}))

    status = kubectl.wait_for_phase(name, "Succeeded")

    assert [(task["run"], task.get("failures", 0)) for task in status["tasks"]] == [(1, 0)] * 4
