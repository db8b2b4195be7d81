"""The node: a kubelet that talks to the cluster's own containerd."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from localcluster import kernel
from localcluster.certificates import KeyPair
from localcluster.controlplane import ControlPlane
from localcluster.layout import NODE_NAME, Layout
from localcluster.tools import free_ports, run, wait_until


def kubelet_config(layout: Layout, address: str, port: int, authority: Path, serving: KeyPair) -> Mapping[str, Any]:
    """Configure the kubelet for a machine that others use too: nothing is reserved, evicted or collected early."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": port,
        "healthzPort": 0,
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.runtime_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.network}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "maxPods": 250,
        "podLogsDir": str(layout.data / "pod-logs"),
        "volumePluginDir": str(layout.data / "volume-plugins"),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Images come from no registry: one that is collected is gone.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
    }


def start(layout: Layout, control_plane: ControlPlane) -> None:
    """Start the kubelet and wait until its node is ready."""
    processes = control_plane.processes
    since = ""
    if not processes.is_running("kubelet"):
        since = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
        kernel.create_cgroup(layout.network)
        processes.start("kubelet", [control_plane.binaries["kubelet"], *_arguments(layout, control_plane)])
    what = f"the node to be ready (the kubelet's log is {processes.log('kubelet')})"
    wait_until(lambda: _is_ready(control_plane, since), 60, what)


def _arguments(layout: Layout, control_plane: ControlPlane) -> list[str]:
    authority = control_plane.authority
    kubeconfig = control_plane.kubeconfig_for(f"system:node:{NODE_NAME}", ("system:nodes",))
    serving = authority.server(NODE_NAME, (control_plane.address, NODE_NAME), "kubelet-serving")
    config = layout.run / "kubelet.yaml"
    [port] = free_ports((control_plane.address, 0))
    settings = kubelet_config(layout, control_plane.address, port, authority.pair.certificate, serving)
    config.write_text(yaml.safe_dump(settings))
    return [
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={control_plane.address}",
        f"--root-dir={layout.data / 'kubelet'}",
    ]


def _is_ready(control_plane: ControlPlane, since: str) -> bool:
    """Tell whether the node says that it is ready, and has said so since a kubelet was started."""
    ready = '{.items[*].status.conditions[?(@.type=="Ready")]'
    query = f"--output=jsonpath={ready}.status}} {ready}.lastHeartbeatTime}}"
    status, _, heartbeat = run(
        [control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfig}", "get", "node", query]
    ).partition(" ")
    return status == "True" and heartbeat >= since
