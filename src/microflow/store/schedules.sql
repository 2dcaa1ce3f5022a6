-- Schedules as they are served, and what became of each of their ticks.

-- name: schedules_of_flow
SELECT name, cron, timezone, served_since, seen_until, paused_at, removed_at FROM schedules WHERE flow = :flow

-- name: schedule
SELECT name, cron, timezone, served_since, seen_until, paused_at, removed_at FROM schedules WHERE flow = :flow AND name = :name

-- name: served_schedules
SELECT flow, name, seen_until FROM schedules WHERE served_since IS NOT NULL AND removed_at IS NULL ORDER BY flow, name

-- name: serve_schedule
INSERT INTO schedules (flow, name, cron, timezone, served_since, seen_until)
VALUES (:flow, :name, :cron, :timezone, :now, :now)
ON CONFLICT (flow, name) DO UPDATE SET cron = excluded.cron, timezone = excluded.timezone,
    served_since = excluded.served_since, seen_until = excluded.seen_until, removed_at = NULL

-- name: remove_schedule
UPDATE schedules SET removed_at = :now WHERE flow = :flow AND name = :name AND removed_at IS NULL

-- name: see_schedule
UPDATE schedules SET seen_until = :until WHERE flow = :flow AND name = :name AND seen_until < :until

-- name: rewind_schedule
UPDATE schedules SET seen_until = :until WHERE flow = :flow AND name = :name AND seen_until > :until

-- name: pause_schedule
INSERT INTO schedules (flow, name, cron, timezone, seen_until, paused_at)
VALUES (:flow, :name, :cron, :timezone, :now, :now)
ON CONFLICT (flow, name) DO UPDATE SET paused_at = excluded.paused_at WHERE schedules.paused_at IS NULL

-- name: resume_schedule
UPDATE schedules SET paused_at = NULL, seen_until = :now WHERE flow = :flow AND name = :name AND paused_at IS NOT NULL

-- name: record_tick
INSERT INTO ticks (flow, schedule, at, outcome, reason, execution_id, count, first_at, recorded_at)
VALUES (:flow, :schedule, :at, :outcome, :reason, :execution_id, :count, :first_at, :recorded_at)
ON CONFLICT (flow, schedule, at) DO NOTHING

-- name: claim_tick
INSERT INTO ticks (flow, schedule, at, outcome, reason, execution_id, count, first_at, recorded_at)
VALUES (:flow, :schedule, :at, :outcome, :reason, :execution_id, :count, :first_at, :recorded_at)
ON CONFLICT (flow, schedule, at) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason,
    execution_id = excluded.execution_id, recorded_at = excluded.recorded_at
WHERE ticks.outcome = 'missed' AND ticks.count = 1

-- name: newest_ticks
SELECT t.at, t.outcome, t.reason, t.execution_id, e.status, t.count, t.first_at, t.recorded_at,
    CASE WHEN t.outcome IN ('run', 'queued') THEN e.error END, CASE WHEN t.outcome IN ('run', 'queued') THEN e.reason END
FROM ticks t LEFT JOIN executions e ON e.id = t.execution_id
WHERE t.flow = :flow AND t.schedule = :schedule AND t.at < :before ORDER BY t.at DESC LIMIT :limit

-- name: open_top_level
SELECT id, flow, options FROM executions
WHERE status IN ('running', 'queued') AND status <> 'success' AND status <> 'skipped' AND root_id + 0 IS NULL ORDER BY id

-- name: top_level_elsewhere
SELECT id, engine_id, options FROM executions
WHERE status = 'running' AND status <> 'success' AND status <> 'skipped' AND root_id + 0 IS NULL AND flow || '' = :flow
    AND engine_id <> :engine_id
ORDER BY id

-- name: ticks_not_started
SELECT id, flow, job, attempt FROM executions
WHERE status = 'queued' AND status <> 'success' AND status <> 'skipped' AND trigger = 'schedule' AND parent_id IS NULL
    AND started_at IS NULL
ORDER BY id
