-- What can be done to it now: nothing once it has ended or is canceled. What it is already can't be done again, and a
-- Workflow whose task runs can't be suspended, as that would kill the task.
local status = obj.status or {}
local lifecycle = obj.spec.lifecycle or "active"
local ended = { Succeeded = true, Failed = true, Canceled = true }
if ended[status.phase] or lifecycle == "canceled" then
  return {}
end

local runs_on = obj.kind == "Workflow" and (status.running or 0) > 0
return {
  suspend = {
    displayName = "Suspend",
    iconClass = "fa fa-fw fa-pause",
    disabled = lifecycle ~= "active" or runs_on,
  },
  interrupt = {
    displayName = "Interrupt",
    iconClass = "fa fa-fw fa-stop",
    disabled = lifecycle == "interrupted",
  },
  resume = {
    displayName = "Resume",
    iconClass = "fa fa-fw fa-play",
    disabled = lifecycle == "active",
  },
}
