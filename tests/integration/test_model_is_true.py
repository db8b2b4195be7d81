"""The model of `tests/model` does what a real control plane does: the same scripts are played on both, and compared.

The scripts (scripts.py: some by hand, some made up, `MAGEFLOW_ROUNDS=100` makes up so many) are played side by side,
each in a namespace of its own and at its own pace; but the controllers are stopped for all at once. After each step
both sides come to rest: the model's controllers until they write nothing more, the real ones until what is compared is
equal. Compared are

- the answer to each request: none, or the HTTP status of its error;
- after each step the state of the Workflow, of each Job and of each pod, as `describe` tells it: there or not;
  terminating, and in how many seconds; finalizers and owners; of a Job suspend, the count of active pods, and all
  conditions with status and reason; of a pod its phase, bound or not, started or not, and who disrupted it;
- in the end the reasons of the Job controller's events that the operator reads;
- for each Job and pod all states that a watch of the real API server has told, repeats left out, one after the other:
  they are what the model's writes come to, each step's after those of the step before, for one of the orders in which
  its controllers may take their turns. No state is left out and none is added: each write of the model that changes
  what is compared was a write of its own. This goes without the count of active pods, which may be late for a second
  (after a suspend, 0, 1 and 0 were seen).

In the end a sentinel shows that the controllers have done what was due, and all is compared once more; so what was
equal only for a moment is found to differ.

Not compared: in which order writes to different objects come; what a controller does whose watch of one kind is behind
that of another (the model has that: a sync reads before it writes); and an eviction that fails half way. The last two
can't be made to happen.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import pytest_asyncio

from devkit.patience import PATIENCE
from localcluster.controlplane import ControlPlane

from .control import NODE_MANIFEST, NODE_STATUS, STRATEGIC, Api, Raw, RequestError, create_namespace
from .history import PodHistories
from .kubelet import Kubelet
from .process import Operator
from .scripts import (
    BY_HAND,
    OWNER,
    ImpossibleError,
    Model,
    Moment,
    RacyError,
    Request,
    Seen,
    build_owner,
    build_request,
    count_events,
    generate,
    is_possible,
    path_of,
)

ROUNDS: Final = int(os.environ.get("MAGEFLOW_ROUNDS", "20"))
AT_ONCE: Final = 120
"""So many scripts are played side by side."""

CONTROLLER_MANAGER: Final = "kube-controller-manager"
NODE: Final = "node-by-hand"
COLLECTIONS: Final = {
    "workflows": "/apis/mageflow.io/v1/{}workflows",
    "jobs": "/apis/batch/v1/{}jobs",
    "pods": "/api/v1/{}pods",
}


SENTINEL: Final = "create, bind, start, end 0, delete owner Background"
"""What the controllers have to do for it comes after all that they had to do before."""


class DifferenceError(AssertionError):
    """The model isn't true."""


class Script:
    """One script as it is played on the real control plane."""

    def __init__(self, name: str, steps: Sequence[str], namespace: str, api: Api) -> None:
        self.namespace = namespace
        self.seen = Seen()
        self._name = name
        self._api = api
        self._kubelet = Kubelet(api, PodHistories(api))
        self._news = asyncio.Event()
        model = Model()
        self._start = model.view
        self._moments: list[Moment] = []
        self._obstacle = ""
        try:
            self._moments.extend(model.play(step) for step in steps)
        except (ImpossibleError, RacyError) as error:
            self._obstacle = repr(error)
        self._played = 0
        self.has_failed = False

    @property
    def length(self) -> int:
        return len(self._moments)

    @property
    def acts(self) -> int:
        """Return into how many acts the script falls: in each second one the controllers are stopped."""
        return 1 + sum(moment.step in ("stop", "continue") for moment in self._moments)

    def take_in(self, type_: str, plural: str, raw: Raw) -> None:
        """Take in one event of a watch."""
        self.seen.take_in(type_, plural, raw)
        self._news.set()

    async def prepare(self) -> None:
        """Make the namespace, and the owner in it."""
        await create_namespace(self._api, self.namespace)
        await self._api.create(self._collection("workflows"), build_owner(self.namespace))
        await self._wait_until_equal(self._start)

    async def play_act(self) -> None:
        """Play on until the controllers are to be stopped, or to go on."""
        if self._played:
            await self._wait_until_equal(self._moments[self._played - 1].view)
        while self._played < len(self._moments):
            moment = self._moments[self._played]
            self._played += 1
            if moment.step in ("stop", "continue"):
                return
            await self._play(moment)

    async def check(self) -> None:
        """Compare all for the last time."""
        self._check(not self._obstacle, f"the model stops at {self._obstacle}", self.seen.traces)
        await self._wait_until_equal(self._moments[-1].view)
        for name in {*self.seen.traces, *(name for moment in self._moments for name in moment.ways)} - {OWNER}:
            ways = [moment.ways.get(name, {()}) for moment in self._moments]
            self._check(is_possible(self.seen.traces[name], ways), f"{name} went another way", [name])
        events = self._moments[-1].events
        self._check(events is None or await self._are_told(events), f"the Job controller's events aren't {events}")

    async def _are_told(self, events: Counter[str]) -> bool:
        """Tell whether these events have been written, which may be later than what they tell of, and no others."""
        for _ in range(int(PATIENCE)):
            if count_events(await self._api.list(f"/api/v1/namespaces/{self.namespace}/events")) == events:
                return True
            await asyncio.sleep(1)
        return False

    async def clear(self) -> None:
        """Leave nothing that the operator would care about, when it is started again."""
        for plural in ("workflows", "jobs", "pods"):
            for raw in await self._api.list(self._collection(plural)):
                path = f"{self._collection(plural)}/{raw['metadata']['name']}"
                with suppress(RequestError):  # it is gone already
                    await self._api.delete(path, propagationPolicy="Background", gracePeriodSeconds=0)

    async def _play(self, moment: Moment) -> None:
        request = build_request(moment.step, self.seen)
        status = 0
        try:
            if request is None:
                await self._act_as_kubelet(moment.step, self.seen.last("pod")[-1])
            else:
                await self._send(request)
        except RequestError as error:
            status = error.code
        self._check(status == moment.status, f"the answer is {status}, not {moment.status} (0: no error)")
        await self._wait_until_equal(moment.view)

    async def _send(self, request: Request) -> None:
        match request.method:
            case "POST":
                made = await self._api.create(request.path, request.body)
                if made["kind"] == "Job":  # it may be gone soon, as if it had never been
                    await self._wait_until(lambda: self.seen.has_told_of(made))
            case "PATCH":
                await self._api.patch(request.path, request.body)
            case "DELETE":
                await self._api.delete(request.path, **request.body)
            case _:
                raise NotImplementedError(request.method)

    async def _act_as_kubelet(self, step: str, pod: Raw) -> None:
        match step.split():
            case ["bind"]:
                body = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": NODE}}
                await self._api.create(f"{path_of(pod)}/binding", body)
            case ["run"]:
                pass
            case ["start"]:
                await self._kubelet.start(pod)
            case ["start", "init"]:
                await self._kubelet.start_init(pod)
            case ["end", "unstarted"]:
                body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"phase": "Failed"}}
                await self._api.patch(f"{path_of(pod)}/status", body, STRATEGIC)
            case ["end", code]:
                await self._kubelet.fail(pod, int(code))
            case ["deadline"]:
                await self._kubelet.exceed_deadline(pod)
            case ["pressure"]:
                await self._kubelet.evict(pod)
            case ["let", "go"]:
                preconditions = {"uid": pod["metadata"]["uid"]}
                await self._api.delete(path_of(pod), gracePeriodSeconds=0, preconditions=preconditions)
            case _:
                raise NotImplementedError(step)

    async def _wait_until_equal(self, view: Mapping[str, str]) -> None:
        try:
            await self._wait_until(lambda: self.seen.view == view)
        except TimeoutError:
            names = {name for name in {*view, *self.seen.view} if view.get(name) != self.seen.view.get(name)}
            self._check(False, f"the state differs of {', '.join(sorted(names))}", names)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def _check(self, is_so: bool, what: str, names: Iterable[str] = ()) -> None:
        """Raise DifferenceError, with how the named objects were seen on both sides."""
        if is_so:
            return
        self.has_failed = True
        steps = [moment.step for moment in self._moments]
        lines = [f"{self._name}: {what}", f"  played: {', '.join(steps[: self._played])}"]
        if self._played < len(steps):
            lines.append(f"  not yet: {', '.join(steps[self._played :])}")
        for name in sorted(names):
            lines.append(f"  {name} is {self.seen.view.get(name, 'gone')}; it was seen as")
            lines += [f"    {state}" for state in self.seen.traces[name]]
            lines.append("  and by the model")
            for moment in self._moments[: self._played]:
                ways = sorted(moment.ways.get(name, ()))
                lines.append(f"    {moment.step}: " + "\n      or ".join(" → ".join(way) or "the same" for way in ways))
        raise DifferenceError("\n".join(lines))

    def _collection(self, plural: str) -> str:
        return COLLECTIONS[plural].format(f"namespaces/{self.namespace}/")


@pytest_asyncio.fixture
async def real(api: Api, control_plane: ControlPlane, shared_operator: Operator) -> AsyncIterator[Api]:
    """The control plane, with no operator, and a Node that nobody but the test gives pods to."""
    shared_operator.kill()
    await asyncio.to_thread(control_plane.restart, CONTROLLER_MANAGER)  # it looks for new kinds every 30 s only
    await api.create("/api/v1/nodes", {**NODE_MANIFEST, "metadata": {"name": NODE}, "spec": {"unschedulable": True}})
    await api.patch(f"/api/v1/nodes/{NODE}/status", NODE_STATUS)
    yield api
    await api.delete(f"/api/v1/nodes/{NODE}")


async def test_model_does_what_the_real_one_does(real: Api, control_plane: ControlPlane) -> None:
    seed = random.randrange(10**6)
    made_up = {f"made up {seed}.{number}": generate(random.Random(f"{seed}.{number}")) for number in range(ROUNDS)}
    texts = {**{name: text.split(", ") for name, text in BY_HAND.items()}, **made_up}
    scripts = [Script(name, steps, f"true-{number}", real) for number, (name, steps) in enumerate(texts.items())]
    differences: list[DifferenceError] = []
    for at in range(0, len(scripts), AT_ONCE):
        sentinel = Script("the sentinel", SENTINEL.split(", "), f"true-sentinel-{at}", real)
        differences += await _replay(scripts[at : at + AT_ONCE], sentinel, real, control_plane)
    steps = sum(script.length for script in scripts)
    print(f"\nseed {seed}: {len(scripts)} scripts, {steps} steps, {len(differences)} differences")  # noqa: T201
    assert not differences, "\n\n".join(map(str, differences))


async def _replay(
    scripts: Sequence[Script], sentinel: Script, api: Api, control_plane: ControlPlane
) -> list[DifferenceError]:
    """Play scripts side by side; return what differed.

    Those with fewer acts begin later: so the controllers are stopped for all at the same time.
    """
    differences: list[DifferenceError] = []

    async def play(deeds: Iterable[Awaitable[None]]) -> None:
        results = await asyncio.gather(*deeds, return_exceptions=True)
        differences.extend(result for result in results if isinstance(result, DifferenceError))
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, DifferenceError):
                raise result

    async with _watch([*scripts, sentinel], api):
        await play(script.prepare() for script in (*scripts, sentinel))
        for act in range(max(script.acts for script in scripts), 0, -1):
            with _controllers(control_plane, are_stopped=act % 2 == 0):
                await play(script.play_act() for script in scripts if script.acts >= act and not script.has_failed)
        await play([sentinel.play_act()])
        for script in scripts:
            if not script.has_failed:
                await play([script.check()])
        await play(script.clear() for script in (*scripts, sentinel))
    return differences


@contextmanager
def _controllers(control_plane: ControlPlane, *, are_stopped: bool) -> Iterator[None]:
    if not are_stopped:
        yield
        return
    control_plane.pause(CONTROLLER_MANAGER)
    try:
        yield
    finally:
        control_plane.resume(CONTROLLER_MANAGER)


@asynccontextmanager
async def _watch(scripts: Iterable[Script], api: Api) -> AsyncIterator[None]:
    """Tell each script of all that happens in its namespace."""
    by_namespace = {script.namespace: script for script in scripts}

    async def follow(plural: str, path: str, version: str) -> None:
        while True:  # the API server may end a watch at any time
            async for event in api.watch(path, version):
                metadata = event["object"]["metadata"]
                version = metadata["resourceVersion"]
                script = by_namespace.get(metadata.get("namespace", ""))
                if script is not None:
                    script.take_in(event["type"], plural, event["object"])

    tasks = []
    for plural, collection in COLLECTIONS.items():
        path = collection.format("")
        version = (await api.get(path, limit="1"))["metadata"]["resourceVersion"]
        tasks.append(asyncio.create_task(follow(plural, path, version)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results), results
