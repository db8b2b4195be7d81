"""The local cluster: a control plane and one node with real pods, from nothing to ready."""

from __future__ import annotations

from localcluster import images, kubelet, network, packages, runtime, sysctls
from localcluster.binaries import ensure
from localcluster.controlplane import ControlPlane
from localcluster.layout import Layout
from localcluster.leftovers import remember
from localcluster.progress import Steps
from localcluster.shell import extend_path
from localcluster.teardown import has_traces, tear_down


def up(layout: Layout) -> None:
    """Start what does not run, and return once the node is ready. Needs root, Debian and the Go programs."""
    extend_path()
    ensure()
    steps = Steps(total=6)
    missing = packages.missing(packages.PACKAGES, packages.has_program)
    with steps.step("install packages", "half a minute" if missing else "") as step:
        step.detail = " ".join(missing) or "none missing"
        if missing:
            packages.install(missing, layout.logs / "packages.log")
    _start(layout, steps)


def _start(layout: Layout, steps: Steps) -> None:
    with steps.step("make the pods' network") as step:
        if has_traces(layout) and not layout.kubeconfig.exists():
            # The clone was cleaned while its cluster ran: the new one could not talk to what is left of it.
            tear_down(layout)
        remember(layout)
        layout.run.mkdir(parents=True, exist_ok=True)
        sysctls.remember()
        sysctls.allow_forwarding()
        subnet = network.keep_subnet(layout)
        network.create_bridge(layout, subnet)
        step.detail = f"{layout.bridge}, {subnet}"
    with steps.step("start the control plane"):
        control_plane = ControlPlane(
            layout.state,
            address=network.gateway(subnet),
            has_nodes=True,
            bound_to_parent=False,
            records=layout.records,
        )
        control_plane.start()
        network.apply_rules(layout, subnet, control_plane.port)
    with steps.step("start containerd"):
        runtime.start(layout, control_plane.processes, subnet)
    with steps.step("load the images") as step:
        step.detail = f"{images.PAUSE.name}, {images.BUSYBOX.name}"
        images.load(layout)
    with steps.step("start the kubelet"):
        kubelet.start(layout, control_plane)
