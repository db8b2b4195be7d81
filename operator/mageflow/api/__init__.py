"""The API contract: what `kubectl` users write and read, as frozen pydantic models."""

from mageflow.api.base import INT32_MAX
from mageflow.api.enums import ConditionType, Lifecycle, Phase, TaskPhase
from mageflow.api.status import Condition, TaskStatus, WorkflowStatus
from mageflow.api.workflow import WorkflowSpec

GROUP = "mageflow.io"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"

__all__ = [
    "API_VERSION",
    "GROUP",
    "INT32_MAX",
    "VERSION",
    "Condition",
    "ConditionType",
    "Lifecycle",
    "Phase",
    "TaskPhase",
    "TaskStatus",
    "WorkflowSpec",
    "WorkflowStatus",
]
