"""The commands, whichever provider makes the cluster: the user, kind, or this package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from localcluster import leftovers, local
from localcluster.layout import Layout, of_this_clone
from localcluster.operatorimage import prepare_base
from localcluster.progress import Steps
from localcluster.provider import Provider, check_local, choose_provider, observe_facts
from localcluster.tools import ClusterError, extend_path, run

KIND_NAME = "mageflow"


def up() -> Path:
    """Have a cluster, whatever is there already, and return its kubeconfig."""
    layout = of_this_clone()
    facts = observe_facts()
    choice = choose_provider(facts, recorded_provider(layout))
    print(f"Using the {choice.provider} cluster: {choice.why}.", flush=True)
    match choice.provider:
        case Provider.CURRENT:
            return _check_current()
        case Provider.KIND:
            _up_kind(layout)
        case Provider.LOCAL:
            check_local(facts)
            local.up(layout)
    return layout.kubeconfig


def down(*, check: bool) -> None:
    """End this clone's cluster; with `check`, raise ClusterError if anything of a local one is left."""
    layout = of_this_clone()
    if os.environ.get("CLUSTER") == Provider.CURRENT:
        print("The current cluster is yours: nothing to do.")
        return
    match recorded_provider(layout):
        case None:
            print("No cluster of this clone.")
        case Provider.KIND:
            run(["kind", "delete", "cluster", "--name", KIND_NAME, "--kubeconfig", layout.kubeconfig])
            print("The kind cluster is gone.")
        case _:
            _down_local(layout, check=check)
    shutil.rmtree(layout.state, ignore_errors=True)


def prepare_image() -> None:
    """Make what the operator's image is built on, where a local cluster can be had."""
    try:
        check_local(observe_facts())
    except ClusterError:
        return  # whoever needs it says what is missing
    extend_path()
    prepare_base()


def recorded_provider(layout: Layout) -> Provider | None:
    """Tell which provider made the cluster that this clone has, if it has one."""
    if local.has_traces(layout):
        return Provider.LOCAL
    return Provider.KIND if layout.kind_record.exists() else None


def _check_current() -> Path:
    """Return the user's kubeconfig, the first if there are several; raise ClusterError if its cluster is silent."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    path = Path(first) if first else Path.home() / ".kube" / "config"
    try:
        config.load_kube_config()
        configuration = client.Configuration.get_default_copy()
        configuration.retries = False
        with client.ApiClient(configuration) as api:
            version = client.VersionApi(api).get_code(_request_timeout=10).git_version
    except (ConfigException, client.ApiException, HTTPError, OSError) as error:
        raise ClusterError(
            f"The cluster of {path} does not answer: {error}",
            "Try `kubectl version` with the same KUBECONFIG, or leave CLUSTER unset to have a cluster made.",
        ) from error
    print(f"It answers, with Kubernetes {version}.")
    return path


def _up_kind(layout: Layout) -> None:
    """Create the cluster unless it is there, and write its kubeconfig."""
    layout.state.mkdir(exist_ok=True)
    layout.kind_record.touch()
    target = ("--name", KIND_NAME, "--kubeconfig", layout.kubeconfig)
    steps = Steps(total=1)
    if KIND_NAME in run(["kind", "get", "clusters"]).split():
        with steps.step("find the kind cluster"):
            run(["kind", "export", "kubeconfig", *target])
    else:
        with steps.step("create a kind cluster", "a minute, more if its image is not there yet"):
            run(["kind", "create", "cluster", *target, "--wait", "2m"])


def _down_local(layout: Layout, *, check: bool) -> None:
    if os.geteuid() != 0:
        raise ClusterError("Ending the local cluster needs root.", "Run the command with sudo -E.")
    extend_path()
    before = leftovers.recall(layout) if check else None
    local.tear_down(layout)
    print("The local cluster is gone.")
    if before is not None:
        left = leftovers.find_left(layout, before, leftovers.observe(layout), has_company=local.has_company())
        if left:
            raise ClusterError("It left, or someone else made meanwhile:\n  " + "\n  ".join(left))
        print("Nothing of it is left: " + ", ".join(before) + " are as they were.")
