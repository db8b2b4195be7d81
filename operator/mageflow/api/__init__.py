"""The API contract: what `kubectl` users write and read, as frozen pydantic models."""

from mageflow.api.base import INT32_MAX
from mageflow.api.enums import ConditionType, Lifecycle, Phase, TaskPhase
from mageflow.api.kinds import API_VERSION, GROUP, KINDS, VERSION, WORKFLOW, Kind
from mageflow.api.status import Condition, TaskStatus, WorkflowStatus
from mageflow.api.workflow import WorkflowSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "INT32_MAX",
    "KINDS",
    "VERSION",
    "WORKFLOW",
    "Condition",
    "ConditionType",
    "Kind",
    "Lifecycle",
    "Phase",
    "TaskPhase",
    "TaskStatus",
    "WorkflowSpec",
    "WorkflowStatus",
]
