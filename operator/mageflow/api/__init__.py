"""The API contract: what `kubectl` users write and read, as frozen pydantic models. It imports nothing of the others.

kinds.py      the kinds, and all that their CRDs say beyond the fields
specs.py      the specs: what a task is, and what each kind has
status.py     the status, with the ledger of its tasks
enums.py      the words: lifecycles, phases, condition types, and sets of task phases
reasons.py    the reasons that conditions, tasks and events give
labels.py     labels and annotations of objects in the cluster
variables.py  what a task sees of itself
rules.py      CEL rules
stored.py     sizes as the API server stores them, and text that is cut to fit
base.py       the base of all models
"""

from mageflow.api.base import INT32_MAX
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
from mageflow.api.specs import (
    DEFAULT_CONCURRENCY,
    LEAST_GRACE_SECONDS,
    ChainSpec,
    NamedTask,
    SwarmSpec,
    SwarmTask,
    WorkflowSpec,
)
from mageflow.api.status import Condition, Status, TaskStatus, find_condition

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
