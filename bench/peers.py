"""Peers, measured on the same machine in the same run: their controllers are built from Go modules, as the cluster is.

Kueue            Jobs: created in a queue, stopped by `spec.active` of their Workload, let go by the queue's label
Argo Workflows   Workflows of one step: created, terminated (for good: its stop can't be resumed), let go by `suspend`

Neither has what our suspend is: a pending pod is left alone by Argo's, and Kueue's stops what runs as well.
An Argo Workflows controller that runs already is driven instead if MAGEFLOW_ARGO_KUBECONFIG names its cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import objects
from bench.api import MERGE, Api, Raw, connect
from bench.figures import Figure
from bench.goals import Measured
from bench.kubelet import NODE, Kubelet
from bench.sightings import Sightings, is_going, named, watching
from bench.stage import BY_HAND, OURS, Stage, made_namespaces, open_stage
from devkit.kubectl import Kubectl
from localcluster.binaries import ensure
from localcluster.components import Component, Module
from localcluster.tools import ClusterError

KUEUE: Final = Component("kueue", "sigs.k8s.io/kueue/cmd/kueue", (Module("sigs.k8s.io/kueue", "v0.17.0", build_s=200),))
ARGO: Final = Component(
    "workflow-controller",
    "github.com/argoproj/argo-workflows/v4/cmd/workflow-controller",
    (Module("github.com/argoproj/argo-workflows/v4", "v4.0.5", build_s=250),),
)
QUEUE: Final = "everything"
_QUEUED: Final = {"kueue.x-k8s.io/queue-name": QUEUE}
WARM_UP: Final = 2


@dataclass(frozen=True)
class Peer:
    """One peer: where its objects are, how one is made, and what stops it and lets it go on."""

    name: str
    path: str
    make: Callable[[str], Raw]
    """Returns an object of a name, which is to run at once."""
    make_held: Callable[[str], Raw]
    """Returns one that is held."""
    stop: Callable[[Api, str], Awaitable[None]]
    """Has what runs of an object stopped."""
    resume: Callable[[Api, str], Awaitable[None]]
    """Lets one that was made held go on."""
    stops_running: bool = True
    """What is stopped runs. Else it is pending: Argo ends a running one by a command in it, which takes a real node."""


async def measure_kueue(rounds: int) -> dict[str, Measured]:
    """Measure Kueue beside plain Jobs."""
    async with open_stage() as stage, _kueue(stage) as peer:
        return await _measure(stage.api, peer, rounds)


async def measure_argo(rounds: int, kubeconfig: Path | None = None) -> dict[str, Measured]:
    """Measure Argo Workflows beside plain Jobs: the controller of the cluster of a kubeconfig, or one built here."""
    if kubeconfig is not None:
        async with connect(kubeconfig) as api, made_namespaces(api, OURS, BY_HAND):
            return await _measure(api, _argo_peer(), rounds)
    async with open_stage() as stage, _argo(stage) as peer:
        return await _measure(stage.api, peer, rounds)


async def _measure(api: Api, peer: Peer, rounds: int) -> dict[str, Measured]:
    times: dict[str, list[float]] = {"create": [], "floor": [], "stop": [], "resume": []}
    async with AsyncExitStack() as stack:
        ours, by_hand = [await stack.enter_async_context(watching(api, objects.pods(name))) for name in (OURS, BY_HAND)]
        kubelet = Kubelet(api, ends_pods=False)
        for pods in (ours, by_hand):
            kubelet.play(pods)
        for number in range(rounds + WARM_UP):
            run = f"run-{number}"
            plain = objects.plain_job(run, objects.NOWHERE["spec"])
            found = {
                "create": await _until_pod(api, ours, peer.path, peer.make(run), run),
                "floor": await _until_pod(api, by_hand, objects.jobs(BY_HAND), plain, run),
                "stop": await _stop(api, ours, kubelet, peer, run),
                "resume": await _resume(api, ours, peer, f"held-{number}"),
            }
            if number >= WARM_UP:
                for name, seconds in found.items():
                    times[name].append(1000 * seconds)
    figures = {name: Figure.of(values, "ms") for name, values in times.items()}
    floor = figures.pop("floor")
    floors = {"create": floor, "resume": floor}
    return {f"{peer.name}_{name}": Measured(figure, floors.get(name)) for name, figure in figures.items()}


async def _until_pod(api: Api, pods: Sightings, path: str, body: Raw, name: str) -> float:
    pod = pods.expect(named(name))
    began = time.perf_counter()
    await api.request("POST", path, body)
    return await pod - began


async def _stop(api: Api, pods: Sightings, kubelet: Kubelet, peer: Peer, name: str) -> float:
    """Have the pod bound and running, if that is what the peer stops, and stop it."""
    if peer.stops_running:
        pod = next(raw for raw in pods.objects.values() if named(name)(raw))
        await kubelet.bind(pod, NODE)
        await kubelet.start(pod)
    await asyncio.sleep(0.2)  # so that the controller knows
    going = pods.expect(lambda raw: named(name)(raw) and is_going(raw))
    began = time.perf_counter()
    await peer.stop(api, name)
    return await going - began


async def _resume(api: Api, pods: Sightings, peer: Peer, name: str) -> float:
    await api.request("POST", peer.path, peer.make_held(name))
    await asyncio.sleep(0.3)  # so that the controller has seen it
    pod = pods.expect(named(name))
    began = time.perf_counter()
    await peer.resume(api, name)
    return await pod - began


@contextmanager
def _process(program: Path, arguments: Sequence[str], log: Path, **environment: str) -> Iterator[None]:
    """Run a controller during the block. Raises ClusterError with the end of its log if it ends at once by itself."""
    with log.open("wb") as output:
        variables = {**os.environ, **environment}
        process = subprocess.Popen([program, *arguments], env=variables, stdout=output, stderr=output)
        try:
            time.sleep(5.0)
            if process.poll() is not None:
                raise ClusterError(f"{program.name} has ended:\n{log.read_text()[-2000:]}", "Its log says why.")
            yield
        finally:
            process.kill()
            process.wait()


def _module_folder(module: Module) -> Path:
    """Return where Go keeps a module's files: its CRDs are among them."""
    command = ["go", "mod", "download", "-json", f"{module.path}@{module.version}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    return Path(json.loads(told.stdout)["Dir"])


def _install(stage: Stage, folder: Path) -> None:
    kubectl = Kubectl(stage.control_plane.kubectl, stage.control_plane.kubeconfig, "default")
    files = [f"--filename={path}" for path in sorted(folder.glob("*_*.yaml"))]
    kubectl.run("apply", "--server-side", *files)  # one is too large for the annotation of the other way
    kubectl.run("wait", "--for=condition=Established", "--timeout=60s", *files)


# ── Kueue ──


@asynccontextmanager
async def _kueue(stage: Stage) -> AsyncIterator[Peer]:
    program = (await asyncio.to_thread(ensure, [KUEUE]))["kueue"]
    _install(stage, _module_folder(KUEUE.modules[0]) / "config" / "components" / "crd" / "bases")
    config = stage.folder / "kueue.json"
    webhook = {"port": 19443, "certDir": str(stage.folder / "webhook")}
    config.write_text(json.dumps({**_KUEUE_CONFIG, "webhook": webhook}))
    kubeconfig = stage.control_plane.kubeconfig_for("kueue")
    arguments = (f"--config={config}", "--zap-log-level=error", "--feature-gates=VisibilityOnDemand=false")
    log = stage.folder / "kueue.log"
    with _certificates(stage), _process(program, arguments, log, KUBECONFIG=str(kubeconfig)):
        for path, body in _queues():
            await stage.api.request("POST", path, body)
        await asyncio.sleep(2.0)
        yield Peer("kueue", objects.jobs(OURS), _queued_job, _held_job, _deactivate, _activate)


@contextmanager
def _certificates(stage: Stage) -> Iterator[None]:
    """Give Kueue the certificates that its pod would have; one of the two paths is fixed, and takes root."""
    pair = stage.control_plane.authority.client("webhook", (), "webhook")
    fixed = Path("/etc/kueue")
    try:
        fixed.mkdir()  # one that is there isn't ours to remove
    except OSError as error:
        raise ClusterError(f"Kueue reads a certificate from {fixed}: {error}", "Run it as root.") from error
    try:
        for folder in (stage.folder / "webhook", fixed / "metrics" / "certs"):
            folder.mkdir(parents=True)
            (folder / "tls.crt").write_bytes(pair.certificate.read_bytes())
            (folder / "tls.key").write_bytes(pair.key.read_bytes())
        yield
    finally:
        shutil.rmtree(fixed, ignore_errors=True)


_KUEUE_CONFIG: Final[Raw] = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": ":0"},
    "metrics": {"bindAddress": "0"},
    "leaderElection": {"leaderElect": False},
    "internalCertManagement": {"enable": False},
    "clientConnection": {"qps": 200, "burst": 400},
    "integrations": {"frameworks": ["batch/job"]},
}

_KUEUE_GROUP: Final = "kueue.x-k8s.io/v1beta2"


def _queues() -> list[tuple[str, Raw]]:
    """Return a queue that has room for everything."""
    resources = [{"name": "cpu", "nominalQuota": "1000000"}]
    group = {"coveredResources": ["cpu"], "flavors": [{"name": QUEUE, "resources": resources}]}
    root = f"/apis/{_KUEUE_GROUP}"
    head = {"apiVersion": _KUEUE_GROUP, "metadata": {"name": QUEUE}}
    cluster = {"namespaceSelector": {}, "resourceGroups": [group], "queueingStrategy": "BestEffortFIFO"}
    return [
        (f"{root}/resourceflavors", {**head, "kind": "ResourceFlavor"}),
        (f"{root}/clusterqueues", {**head, "kind": "ClusterQueue", "spec": cluster}),
        (f"{root}/namespaces/{OURS}/localqueues", {**head, "kind": "LocalQueue", "spec": {"clusterQueue": QUEUE}}),
    ]


def _queued_job(name: str) -> Raw:
    """Return a Job as Kueue's webhook leaves it: suspended until the queue lets it go."""
    job = _held_job(name)
    job["metadata"]["labels"] = _QUEUED
    return job


def _held_job(name: str) -> Raw:
    """Return the same Job, of no queue yet."""
    container = {**objects.CONTAINER, "resources": {"requests": {"cpu": "1m"}}}
    return objects.plain_job(name, {**objects.NOWHERE["spec"], "containers": [container]}, suspend=True)


async def _deactivate(api: Api, name: str) -> None:
    path = f"/apis/{_KUEUE_GROUP}/namespaces/{OURS}/workloads"
    for raw in (await api.request("GET", path))["items"]:
        if any(owner["name"] == name for owner in raw["metadata"].get("ownerReferences", ())):
            await api.request("PATCH", f"{path}/{raw['metadata']['name']}", {"spec": {"active": False}}, MERGE)


async def _activate(api: Api, name: str) -> None:
    await api.request("PATCH", objects.jobs(OURS, name), {"metadata": {"labels": _QUEUED}}, MERGE)


# ── Argo Workflows ──

_ARGO: Final = f"/apis/argoproj.io/v1alpha1/namespaces/{OURS}/workflows"


@asynccontextmanager
async def _argo(stage: Stage) -> AsyncIterator[Peer]:
    program = (await asyncio.to_thread(ensure, [ARGO]))["workflow-controller"]
    _install(stage, _module_folder(ARGO.modules[0]) / "manifests" / "base" / "crds" / "minimal")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "workflow-controller-configmap"}}
    await stage.api.request("POST", "/api/v1/namespaces/default/configmaps", config)
    kubeconfig = stage.control_plane.kubeconfig_for("argo")
    arguments = (
        f"--kubeconfig={kubeconfig}",
        "--namespaced",
        f"--managed-namespace={OURS}",
        "--executor-image=none",
        "--loglevel=error",
        "--qps=200",
        "--burst=400",
    )
    environment: Mapping[str, str] = {"LEADER_ELECTION_DISABLE": "true", "ARGO_NAMESPACE": "default"}
    with _process(program, arguments, stage.folder / "argo.log", **environment):
        yield _argo_peer()


def _argo_peer() -> Peer:
    return Peer(
        name="argo",
        path=_ARGO,
        make=_argo_workflow,
        make_held=lambda name: _argo_workflow(name, suspend=True),
        stop=_terminate,
        resume=_let_go,
        stops_running=False,
    )


def _argo_workflow(name: str, **spec: Any) -> Raw:
    template = {"name": "main", "container": objects.CONTAINER, "nodeSelector": objects.NOWHERE["spec"]["nodeSelector"]}
    body = {"entrypoint": "main", "templates": [template], **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": body}


async def _terminate(api: Api, name: str) -> None:
    await api.request("PATCH", f"{_ARGO}/{name}", {"spec": {"shutdown": "Terminate"}}, MERGE)


async def _let_go(api: Api, name: str) -> None:
    await api.request("PATCH", f"{_ARGO}/{name}", {"spec": {"suspend": None}}, MERGE)
