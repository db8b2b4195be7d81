"""The API contract: what `kubectl` users write and read, as frozen pydantic models."""

from mageflow.api.base import INT32_MAX
from mageflow.api.chain import ChainSpec
from mageflow.api.enums import (
    CLOSED_TASKS,
    ENDED_PHASES,
    ENDED_TASKS,
    HELD_PHASES,
    NAMESPACE_LIFECYCLES,
    OCCUPIED_TASKS,
    WAITING_TASKS,
    ConditionType,
    Lifecycle,
    LifecycleSource,
    Phase,
    TaskPhase,
    read_lifecycle,
    read_namespace_label,
)
from mageflow.api.kinds import API_VERSION, CHAIN, GROUP, KINDS, SWARM, VERSION, WORKFLOW, Kind
from mageflow.api.labels import (
    DEFAULT_CONTAINER_ANNOTATION,
    LABEL_KIND,
    LABEL_LIFECYCLE,
    LABEL_NAME,
    LABEL_RUN,
    LABEL_TASK,
    LABEL_UID,
    MAIN_TASK,
)
from mageflow.api.status import Condition, Status, TaskStatus, find_condition
from mageflow.api.swarm import DEFAULT_CONCURRENCY, SwarmSpec
from mageflow.api.tasks import LEAST_GRACE_SECONDS, NamedTask, SwarmTask
from mageflow.api.workflow import WorkflowSpec

__all__ = [
    "API_VERSION",
    "CHAIN",
    "CLOSED_TASKS",
    "DEFAULT_CONCURRENCY",
    "DEFAULT_CONTAINER_ANNOTATION",
    "ENDED_PHASES",
    "ENDED_TASKS",
    "GROUP",
    "HELD_PHASES",
    "INT32_MAX",
    "KINDS",
    "LABEL_KIND",
    "LABEL_LIFECYCLE",
    "LABEL_NAME",
    "LABEL_RUN",
    "LABEL_TASK",
    "LABEL_UID",
    "LEAST_GRACE_SECONDS",
    "MAIN_TASK",
    "NAMESPACE_LIFECYCLES",
    "OCCUPIED_TASKS",
    "SWARM",
    "VERSION",
    "WAITING_TASKS",
    "WORKFLOW",
    "ChainSpec",
    "Condition",
    "ConditionType",
    "Kind",
    "Lifecycle",
    "LifecycleSource",
    "NamedTask",
    "Phase",
    "Status",
    "SwarmSpec",
    "SwarmTask",
    "TaskPhase",
    "TaskStatus",
    "WorkflowSpec",
    "find_condition",
    "read_lifecycle",
    "read_namespace_label",
]
