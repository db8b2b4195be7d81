"""The API contract: what `kubectl` users write and read, as frozen pydantic models."""

from mageflow.api.base import INT32_MAX
from mageflow.api.chain import ChainSpec
from mageflow.api.enums import ConditionType, Lifecycle, Phase, TaskPhase
from mageflow.api.kinds import API_VERSION, CHAIN, GROUP, KINDS, SWARM, VERSION, WORKFLOW, Kind
from mageflow.api.status import Condition, Status, TaskStatus
from mageflow.api.swarm import SwarmSpec
from mageflow.api.tasks import NamedTask, SwarmTask
from mageflow.api.workflow import WorkflowSpec

__all__ = [
    "API_VERSION",
    "CHAIN",
    "GROUP",
    "INT32_MAX",
    "KINDS",
    "SWARM",
    "VERSION",
    "WORKFLOW",
    "ChainSpec",
    "Condition",
    "ConditionType",
    "Kind",
    "Lifecycle",
    "NamedTask",
    "Phase",
    "Status",
    "SwarmSpec",
    "SwarmTask",
    "TaskPhase",
    "TaskStatus",
    "WorkflowSpec",
]
