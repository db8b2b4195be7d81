"""The state machine that hypothesis drives: each rule is one thing that happens between two instants."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mageflow.api import KINDS, Lifecycle
from mageflow.kube.errors import ApiError

from .cluster import Cluster, Shape, pick
from .process import WATCHED
from .promises import CANCELED

NUMBERS = st.integers(0, 7)
LIFECYCLES = st.sampled_from([each for each in Lifecycle if each is not CANCELED])
HOLDS = st.sampled_from([None, Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED])
LABELS = st.sampled_from([None, None, "suspended", "interrupted", "suspend"])
EXIT_CODES = st.sampled_from([0, 0, 1])
PLURALS = st.sampled_from(WATCHED)
DENIABLE = ["POST jobs", "POST eviction", "PATCH jobs", "DELETE jobs"]
POLICIES = st.sampled_from(["Background", "Foreground", "Orphan"])


class ClusterMachine(RuleBasedStateMachine):
    """A resource of any kind, and everything that can happen to it."""

    plays = 0
    steps = 0
    """How many steps all plays have taken."""

    cluster: Cluster

    @initialize(
        kind=st.sampled_from(KINDS),
        retries=st.integers(0, 2),
        max_concurrency=st.integers(1, 3),
        has_init=st.booleans(),
        lifecycle=st.sampled_from([Lifecycle.ACTIVE, *Lifecycle]),
    )
    def begin(self, kind, retries, max_concurrency, has_init, lifecycle) -> None:  # type: ignore[no-untyped-def]
        type(self).plays += 1
        self.cluster = Cluster(
            Shape(kind, retries=retries, max_concurrency=max_concurrency, has_init=has_init, lifecycle=lifecycle)
        )

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "cluster"):
            type(self).steps += 1
            self.cluster.promises.check()

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        try:
            self.cluster.settle()
            self.cluster.check_rest()
        finally:
            self.cluster.close()

    # ── everyone: what is usual, so that something comes of it ──

    @rule(exit_code=EXIT_CODES)
    def everyone_takes_a_step(self, exit_code: int) -> None:
        self.cluster.work()
        self.cluster.sync_jobs()
        self.cluster.move_pods(exit_code)

    @rule()
    def everyone_takes_three_steps(self) -> None:
        for _ in range(3):
            self.everyone_takes_a_step(0)

    # ── the user ──

    @rule(lifecycle=LIFECYCLES)
    def the_user_asks_for(self, lifecycle: Lifecycle) -> None:
        self.cluster.ask(lifecycle)

    @rule(label=LABELS)
    def the_user_labels_the_namespace(self, label: str | None) -> None:
        self.cluster.label_namespace(label)

    @rule(number=st.integers(0, 9))
    def the_user_may_cancel(self, number: int) -> None:
        if number == 9:
            self.cluster.ask(CANCELED)

    @rule(number=NUMBERS, lifecycle=HOLDS)
    def the_user_edits_a_task(self, number: int, lifecycle: Lifecycle | None) -> None:
        self.cluster.edit_task(number, lifecycle)

    @rule(lifecycle=HOLDS)
    def the_user_adds_a_task(self, lifecycle: Lifecycle | None) -> None:
        self.cluster.add_task(lifecycle)

    @rule(number=NUMBERS, lifecycle=HOLDS)
    def the_user_removes_a_task(self, number: int, lifecycle: Lifecycle | None) -> None:
        self.cluster.remove_task(number, lifecycle)

    @rule(lifecycle=HOLDS)
    def the_user_reverses_the_tasks(self, lifecycle: Lifecycle | None) -> None:
        self.cluster.reverse_tasks(lifecycle)

    @rule(limit=st.integers(1, 3))
    def the_user_limits(self, limit: int) -> None:
        self.cluster.limit(limit)

    @rule(number=st.integers(0, 9), policy=POLICIES)
    def the_user_may_delete_it(self, number: int, policy: str) -> None:
        if number == 9:
            self.cluster.delete(policy)

    @rule()
    def the_user_creates_it_again(self) -> None:
        self.cluster.create()

    @rule(number=NUMBERS, policy=POLICIES)
    def the_user_deletes_a_job(self, number: int, policy: str) -> None:
        self.cluster.delete_job(number, policy)

    @rule(number=NUMBERS)
    def the_user_deletes_a_pod(self, number: int) -> None:
        self.cluster.delete_pod(number)

    @rule(number=NUMBERS)
    def somebody_suspends_a_job(self, number: int) -> None:
        self.cluster.suspend_job(number)

    @rule(stopped=st.booleans())
    def somebody_lets_jobs_go(self, stopped: bool) -> None:
        self.cluster.let_jobs_go(stopped=stopped)

    @rule(plural=st.sampled_from(["jobs", "pods"]))
    def a_cleaner_takes_what_has_ended(self, plural: str) -> None:
        self.cluster.clean_up(plural)

    # ── the operator ──

    @rule()
    def the_operator_works(self) -> None:
        self.cluster.work()

    @rule(plural=PLURALS)
    def a_watch_tells(self, plural: str) -> None:
        if self.cluster.process is not None:
            self.cluster.process.hear_next(plural)

    @rule()
    def all_watches_tell(self) -> None:
        if self.cluster.process is not None:
            self.cluster.process.hear_all()

    @rule(plural=PLURALS, back=NUMBERS)
    def a_watch_tells_again(self, plural: str, back: int) -> None:
        if self.cluster.process is not None:
            self.cluster.process.hear_again(plural, back)

    @rule(plural=PLURALS)
    def a_watch_breaks(self, plural: str) -> None:
        self.cluster.break_watch(plural)

    @rule(number=NUMBERS)
    def a_request_is_answered(self, number: int) -> None:
        self.cluster.deliver(number)

    @rule(number=NUMBERS)
    def a_request_is_carried_out_and_the_answer_lost(self, number: int) -> None:
        self.cluster.deliver(number, loses_answer=True)

    @rule(number=NUMBERS, status=st.sampled_from([0, 429, 500]))
    def a_request_is_lost(self, number: int, status: int) -> None:
        self.cluster.drop(number, status)

    @rule(code=st.sampled_from([400, 403, 409, 422, 500]), what=st.sampled_from(DENIABLE))
    def an_admission_denies(self, code: int, what: str) -> None:
        self.cluster.server.denied[what] = ApiError(code, "", 'admission webhook "x" denied the request: no')

    @rule()
    def no_admission_denies(self) -> None:
        self.cluster.server.denied.clear()

    @rule()
    def the_operator_works_but_no_job_is_admitted_yet(self) -> None:
        self.cluster.work(but_creations=True)

    @rule()
    def the_operator_is_killed(self) -> None:
        self.cluster.kill_operator()

    @rule()
    def the_operator_starts(self) -> None:
        self.cluster.start_operator()

    @rule()
    def the_next_eviction_fails_half_way(self) -> None:
        self.cluster.server.fails_half_way = True

    # ── the Job controller, and the collectors ──

    @rule(number=NUMBERS)
    def the_job_controller_takes_a_step(self, number: int) -> None:
        for name in pick(self.cluster.jobs.names(), number):
            self.cluster.jobs.step(name)

    @rule()
    def the_job_controller_syncs(self) -> None:
        self.cluster.sync_jobs()

    @rule()
    def garbage_is_collected(self) -> None:
        self.cluster.collector.collect()

    # ── the scheduler, and the kubelet ──

    @rule(exit_code=EXIT_CODES)
    def each_pod_moves_on(self, exit_code: int) -> None:
        self.cluster.move_pods(exit_code)

    @rule(number=NUMBERS, exit_code=EXIT_CODES)
    def a_pod_moves_on(self, number: int, exit_code: int) -> None:
        for pod in pick(self.cluster.pods(), number):
            self.cluster.node.move(pod, exit_code)

    @rule(number=NUMBERS, exit_code=EXIT_CODES)
    def a_container_ends_unreported(self, number: int, exit_code: int) -> None:
        for pod in pick(self.cluster.pods(), number):
            self.cluster.node.end(pod, exit_code)

    @rule(number=NUMBERS, reason=st.sampled_from(["DeadlineExceeded", "Evicted"]))
    def the_kubelet_kills_a_pod(self, number: int, reason: str) -> None:
        for pod in pick(self.cluster.pods(), number):
            self.cluster.node.kill(pod, reason)

    @rule(number=NUMBERS)
    def a_node_is_drained(self, number: int) -> None:
        for pod in pick(self.cluster.pods(), number):
            self.cluster.node.drain(pod)

    # ── time ──

    @rule(seconds=st.sampled_from([0.1, 1, 10, 60]))
    def time_passes(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)
