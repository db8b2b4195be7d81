"""The reasons that conditions, tasks and events give: PascalCase facts, each told here once."""

from typing import Final

RUNNING: Final = "Running"
"""The task runs, as asked."""

PENDING: Final = "Pending"
"""The task may run; its pod has not started yet."""

BACKING_OFF: Final = "BackingOff"
"""The last run failed or was disrupted; the next one waits for its back-off."""

SUSPENDING: Final = "Suspending"
"""Suspended is asked for; a pod that has not started is going."""

SUSPENDED: Final = "Suspended"
"""Held, and nothing runs: it is safe to drain."""

INTERRUPTING: Final = "Interrupting"
"""Interrupted or canceled is asked for; a pod can still run."""

INTERRUPTED: Final = "Interrupted"
"""Interrupted, and nothing runs."""

SUCCEEDED: Final = "Succeeded"
"""Every task succeeded."""

FAILED: Final = "Failed"
"""A task failed, with no retries left."""

CANCELED: Final = "Canceled"
"""Stopped for good."""

ACTIVE: Final = "Active"
"""Not held."""

RESUMED: Final = "Resumed"
"""Active again after a hold (an event)."""

TASK_ALREADY_RUNNING: Final = "TaskAlreadyRunning"
"""Suspended is asked for, but the task had started: it finishes, and no further run starts."""

INVALID_NAMESPACE_LIFECYCLE: Final = "InvalidNamespaceLifecycle"
"""The namespace's label says something that is no lifecycle; it is taken for suspended."""

NODE_UNREACHABLE: Final = "NodeUnreachable"
"""A deleted pod is still there after its grace period: the node doesn't answer, so it may run on."""

INVALID_TASK: Final = "InvalidTask"
"""No Job can be made of the task, by a field of it. It is tried again each 6 minutes, and when it is edited."""

INVALID_STATUS: Final = "InvalidStatus"
"""The resource's status, which only the operator writes, can't be read: nothing starts, and a stop still works."""

UNKNOWN_PHASE: Final = "UnknownPhase"
"""A newer version of the operator has left a phase that this one doesn't know: nothing of that starts; a stop works."""

STATUS_NOT_WRITTEN: Final = "StatusNotWritten"
"""The API server refuses the resource's status: nothing starts, but a stop is carried out (an event)."""

TASK_CHANGED: Final = "TaskChanged"
"""A task was edited that runs or has succeeded: the edit has no effect on it."""

FORBIDDEN: Final = "Forbidden"
"""The API server refused the Job of a run: a quota, a policy or the operator's own rights. It is tried again."""

NAME_CONFLICT: Final = "NameConflict"
"""A Job that isn't ours has the name that the run's Job must have."""

JOB_NOT_CREATED: Final = "JobNotCreated"
"""The API server can't create the Job of a run, or doesn't answer: an admission webhook fails or is slow."""

EVICTION_REFUSED: Final = "EvictionRefused"
"""The API server refuses to evict a pod that a suspend holds back. It is tried again."""

STOP_REFUSED: Final = "StopRefused"
"""The API server refuses to stop or delete a Job or pod. It is tried again."""

EVENTS_UNREADABLE: Final = "EventsUnreadable"
"""The API server doesn't let the operator read the events that tell how a run ended, or why it has no pod."""

JOB_DELETED_FOR_QUOTA: Final = "JobDeletedForQuota"
"""The Job of a run that has ended was deleted, and its logs with it: a quota refused the next one (an event)."""

POD_NOT_CREATED: Final = "PodNotCreated"
"""The API server refuses the pod of a Job: a quota, an admission policy, a missing service account."""

JOB_SUSPENDED: Final = "JobSuspended"
"""Somebody else has suspended the Job of a run, which waits for them."""

CONTAINER_STILL_RUNNING: Final = "ContainerStillRunning"
"""The main container of a run has ended, and another one that is no native sidecar keeps its pod (of a task only)."""

UNSCHEDULABLE: Final = "Unschedulable"
"""No node takes the pod."""

NEVER_INTERRUPTED: Final = "NeverInterrupted"
"""No running task was ever cut short."""

INTERRUPTED_WHILE_RUNNING: Final = "InterruptedWhileRunning"
"""A running task was interrupted; it ran, or will run, again from its start. Stays after a resume."""

DISRUPTED_WHILE_RUNNING: Final = "DisruptedWhileRunning"
"""A running task was cut short by others: a drain, a preemption, somebody's deletion or suspension. Stays."""

DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
"""A run took longer than `timeoutSeconds`, or than the template's own activeDeadlineSeconds."""

NON_ZERO_EXIT_CODE: Final = "NonZeroExitCode"
"""A container of the run ended with an exit code other than 0."""

OOM_KILLED: Final = "OOMKilled"
"""A container of the run took more memory than its limit; the kubelet's word."""

START_ERROR: Final = "StartError"
"""A container of the run could not be started, as when its command isn't there; the kubelet's word."""

EVICTED: Final = "Evicted"
"""The kubelet evicted the pod; for its own excess of a limit on storage, that is a failure."""

POD_FAILED: Final = "PodFailed"
"""A run failed, and how is not known any more: its pod is gone."""

PROBE_FAILED: Final = "ProbeFailed"
"""A probe or the postStart hook of the main container failed, and the kubelet killed it."""

DISRUPTED: Final = "Disrupted"
"""A run ended through no fault of the task: a drain, a preemption, a deletion, a refusal by the kubelet."""

TOO_MANY_DISRUPTIONS: Final = "TooManyDisruptions"
"""Ten runs in a row were disrupted."""

OUTCOME_UNKNOWN: Final = "OutcomeUnknown"
"""A run ended while nobody watched, and nothing that is left tells how: it runs again."""

OUTPUT_LOST: Final = "OutputLost"
"""A run ended by itself and did well, but its pod was gone before its output was read."""

OUTPUT_TRUNCATED: Final = "OutputTruncated"
"""The task wrote more output than the kubelet keeps: 4,096 bytes, or its container's share of 12 KiB for the pod."""
