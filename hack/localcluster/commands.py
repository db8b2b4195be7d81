"""What the commands do, whichever provider makes the cluster."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from localcluster import current, kind, leftovers, local
from localcluster.errors import ClusterError
from localcluster.layout import Layout, of_this_clone
from localcluster.machine import observe_facts
from localcluster.operatorimage import prepare_base
from localcluster.processes import Supervisor
from localcluster.provider import Provider, check_local, choose_provider
from localcluster.shell import extend_path
from localcluster.teardown import has_company, has_traces, tear_down


def up() -> Path:
    """Have a cluster, whatever is there already, and return its kubeconfig."""
    layout = of_this_clone()
    facts = observe_facts()
    choice = choose_provider(facts, recorded_provider(layout))
    print(f"Using the {choice.provider} cluster: {choice.why}.", flush=True)
    match choice.provider:
        case Provider.CURRENT:
            print(f"It answers, with Kubernetes {current.check()}.")
            return current.kubeconfig()
        case Provider.KIND:
            kind.up(layout)
        case Provider.LOCAL:
            check_local(facts)
            local.up(layout)
    return layout.kubeconfig


def prepare_image() -> None:
    """Make what the operator's image is built on, where a local cluster can be had."""
    try:
        check_local(observe_facts())
    except ClusterError:
        return  # whoever needs it says what is missing
    extend_path()
    prepare_base(of_this_clone())


def down(*, check: bool) -> None:
    """End this clone's cluster; with `check`, raise ClusterError if anything of a local one is left."""
    layout = of_this_clone()
    if os.environ.get("CLUSTER") == Provider.CURRENT:
        print("The current cluster is yours: nothing to do.")
        return
    match recorded_provider(layout):
        case None:
            shutil.rmtree(layout.state, ignore_errors=True)
            print("No cluster of this clone.")
        case Provider.KIND:
            kind.down(layout)
            shutil.rmtree(layout.state)
            print("The kind cluster is gone.")
        case _:
            _down_local(layout, check=check)


def status() -> list[str]:
    """Describe in lines what runs."""
    layout = of_this_clone()
    match recorded_provider(layout):
        case None:
            return ["No cluster of this clone; `make cluster-up` starts one."]
        case Provider.KIND:
            return [f"provider: kind, cluster {kind.NAME}", f"KUBECONFIG={layout.kubeconfig}"]
        case _:
            processes = Supervisor(layout.records, layout.logs, bound_to_parent=False)
            states = [f"  {name}: {_describe(processes.pid(name))}" for name in processes.names()]
            return ["provider: local", *states, f"KUBECONFIG={layout.kubeconfig}", f"logs: {layout.logs}"]


def recorded_provider(layout: Layout) -> Provider | None:
    """Tell which provider made the cluster that this clone has, if it has one."""
    if has_traces(layout):
        return Provider.LOCAL
    return Provider.KIND if kind.is_recorded(layout) else None


def _down_local(layout: Layout, *, check: bool) -> None:
    if os.geteuid() != 0:
        raise ClusterError("Ending the local cluster needs root.", "Run the command with sudo -E.")
    extend_path()
    before = leftovers.recall(layout) if check else None
    tear_down(layout)
    print("The local cluster is gone.")
    if check and before is not None:
        after = leftovers.observe_traces(layout)
        left = leftovers.find_left(layout, before, after, has_company=has_company())
        if left:
            raise ClusterError("It left, or someone else made meanwhile:\n  " + "\n  ".join(left))
        print("Nothing of it is left: " + ", ".join(before) + " are as they were.")


def _describe(pid: int | None) -> str:
    return "not running" if pid is None else f"running, process {pid}"
