-- The life of executions, in the SQL that SQLite and PostgreSQL share. A store's own statements stand in its own folder.

-- What opens and what ends an execution is bound by position, in the order below, which takes half as long as by name.
-- name: open_execution
INSERT INTO executions (flow, job, kind, status, trigger, parent_id, root_id, position, inputs, run_key, time_partition,
    cat_partition, attempt, scheduled_at, queued_at, started_at, waiting, options, engine_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)

-- name: start_execution
UPDATE executions SET status = 'running', started_at = :started_at, attempt = :attempt, waiting = NULL, engine_id = :engine_id
WHERE id = :id AND status = 'queued'

-- name: queue_execution
UPDATE executions SET status = 'queued', waiting = :waiting, error = NULL
WHERE id = :id AND status IN ('queued', 'running')

-- name: unstart_execution
UPDATE executions SET status = 'queued', waiting = :waiting, started_at = NULL
WHERE id = :id AND status IN ('queued', 'running')

-- name: queue_interrupted
UPDATE executions SET status = 'queued', waiting = :waiting, engine_id = :engine_id, started_at = coalesce(started_at, :started_at)
WHERE id = :id AND status IN ('queued', 'running')

-- name: finish_execution
UPDATE executions SET status = ?, output = ?, error = ?, reason = ?, run_key = coalesce(?, run_key),
    time_partition = coalesce(?, time_partition), cat_partition = coalesce(?, cat_partition),
    started_at = coalesce(started_at, ?), ended_at = ?, progress = coalesce(?, progress), waiting = NULL,
    cpu_seconds = ?, peak_memory = ?
WHERE id = ? AND status IN ('queued', 'running')

-- name: pause_execution
UPDATE executions SET waiting = :waiting WHERE id = :id AND status = 'running'

-- name: open_attempt
INSERT INTO attempts (execution_id, attempt, status, started_at, ended_at, error)
VALUES (:execution_id, :attempt, :status, :started_at, :ended_at, :error)
ON CONFLICT (execution_id, attempt) DO NOTHING

-- name: close_engine
UPDATE engines SET ended_at = :ended_at, reason = :reason WHERE id = :id AND ended_at IS NULL

-- name: engine_of_execution
SELECT engine_id FROM executions WHERE id = :id

-- The run of a tick that has not started is nobody's yet: the next server starts it. An execution that a worker was handed in a
-- chunk, behind another one that held its slot, may have started: it counts as if it had.
-- name: unfinished_of_engine
SELECT id, flow, job, kind, parent_id, root_id, attempt,
    CASE WHEN started_at IS NULL AND waiting LIKE '{"reason":"limit",%"held_by":%' THEN queued_at ELSE started_at END,
    time_partition, cat_partition FROM executions
WHERE status IN ('queued', 'running') AND status <> 'success' AND status <> 'skipped' AND engine_id = :engine_id
    AND NOT (status = 'queued' AND trigger = 'schedule' AND parent_id IS NULL AND started_at IS NULL)
ORDER BY id DESC

-- What nobody is at work on: its engine has ended, or there is none. (With "+ 0" it is found among the few that have not ended,
-- and not among the many that nobody called.)
-- name: count_left
SELECT flow, count(*) FROM executions e WHERE status IN ('running', 'queued') AND status <> 'success' AND status <> 'skipped'
    AND root_id + 0 IS NULL AND NOT EXISTS (SELECT 1 FROM engines g WHERE g.id = e.engine_id AND g.ended_at IS NULL)
GROUP BY flow

-- Few executions are open, and a run may have made many calls: so the parent is asked for in a way that no index answers.
-- name: unfinished_calls
SELECT id, flow, job, kind, parent_id, root_id, attempt, started_at, time_partition, cat_partition FROM executions
WHERE status IN ('queued', 'running') AND status <> 'success' AND status <> 'skipped' AND parent_id + 0 = :parent_id
ORDER BY id DESC

-- What a run has called by now, for the engine that resumes it.
-- name: ended_calls
SELECT job, id, status, output, error, reason, run_key, time_partition, cat_partition FROM executions
WHERE root_id = :root_id AND parent_id = :parent_id AND status NOT IN ('queued', 'running')
ORDER BY id

-- name: count_calls
SELECT status, count(*) FROM executions
WHERE root_id = :root_id AND parent_id = :parent_id AND status NOT IN ('queued', 'running')
GROUP BY status

-- name: failed_call
SELECT error FROM executions
WHERE root_id = :root_id AND parent_id = :parent_id AND status IN ('error', 'cancelled') AND error IS NOT NULL
ORDER BY id LIMIT 1

-- name: last_call
SELECT position, inputs, time_partition, cat_partition, options FROM executions
WHERE root_id = :root_id AND parent_id = :parent_id
ORDER BY position DESC LIMIT 1

-- name: run_key_success
SELECT execution_id, output FROM run_keys WHERE flow = :flow AND job = :job AND run_key = :run_key

-- The few that have not ended are looked through, whichever keys they have.
-- name: run_key_elsewhere
SELECT id, engine_id FROM executions
WHERE status <> 'success' AND status <> 'skipped' AND status = 'running' AND run_key || '' = :run_key AND flow || '' = :flow
    AND job || '' = :job AND engine_id <> :engine_id

-- name: save_run_key
INSERT INTO run_keys (flow, job, run_key, execution_id, output) VALUES (:flow, :job, :run_key, :execution_id, :output)
ON CONFLICT (flow, job, run_key) DO UPDATE SET execution_id = excluded.execution_id, output = excluded.output

-- name: context_of
SELECT key, value FROM context WHERE flow = :flow AND job = :job

-- name: save_context
INSERT INTO context (flow, job, key, value, execution_id) VALUES (:flow, :job, :key, :value, :execution_id)
ON CONFLICT (flow, job, key) DO UPDATE SET value = excluded.value, execution_id = excluded.execution_id

-- name: last_output
SELECT output FROM executions WHERE flow = :flow AND job = :job AND status = 'success' AND kind IN ('task', 'manager')
ORDER BY id DESC LIMIT 1

-- name: call_of
SELECT flow, job, kind, status, trigger, inputs, time_partition, cat_partition, scheduled_at, options, waiting, engine_id
FROM executions WHERE id = :id
