-- The health of a Workflow, a Chain or a Swarm, as that of a Job: Progressing until it has ended, Healthy if it
-- ended well. Its conditions are those of kstatus. docs/gitops.md says why each phase is what it is.
local HEALTH = {
  Pending = "Progressing",
  Active = "Progressing",
  Suspending = "Progressing",
  Suspended = "Suspended",
  Interrupting = "Progressing",
  Interrupted = "Suspended",
  Succeeded = "Healthy",
  Failed = "Degraded",
  Canceled = "Degraded",
}

-- Reasons for which nothing goes on without help, though the operator tries again now and then.
local REFUSED = {
  Forbidden = true,
  NameConflict = true,
  JobNotCreated = true,
  EvictionRefused = true,
  StopRefused = true,
  EventsUnreadable = true,
}

local status = obj.status or {}
if status.phase == nil then
  return { status = "Progressing", message = "the operator has not seen it yet" }
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not seen its present spec yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready or {}
local health = HEALTH[status.phase] or "Progressing"
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  health = "Degraded"
elseif ready.status == "False" and REFUSED[ready.reason] then
  health = "Degraded"
end
return { status = health, message = ready.message or "" }
