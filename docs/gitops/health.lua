-- Argo CD: health of a HyperparameterSweep. Its status follows kstatus: observedGeneration first, then conditions.
local health = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
local condition = {}
for _, found in ipairs(status.conditions or {}) do
  if found.status == "True" then
    condition[found.type] = found.message
  end
end
if condition.Failed then
  return { status = "Degraded", message = condition.Failed }
end
if condition.Stalled then
  return { status = "Degraded", message = condition.Stalled }
end
if condition.Complete then
  return { status = "Healthy", message = condition.Complete }
end
if condition.Suspended then
  return { status = "Suspended", message = status.summary }
end
health.message = status.summary or "Running"
return health
