-- Every statement of the store, each under a name, in the SQL that SQLite and PostgreSQL share.

-- name: open_execution
INSERT INTO executions (flow, job, kind, status, trigger, parent_id, root_id, position, inputs, run_key, time_partition,
    cat_partition, attempt, scheduled_at, queued_at, started_at, waiting, options, engine_id)
VALUES (:flow, :job, :kind, :status, :trigger, :parent_id, :root_id, :position, :inputs, :run_key, :time_partition,
    :cat_partition, 1, :scheduled_at, :queued_at, :started_at, :waiting, :options, :engine_id)

-- name: start_execution
UPDATE executions SET status = 'running', started_at = :started_at, attempt = :attempt, waiting = NULL, engine_id = :engine_id
WHERE id = :id AND status = 'queued'

-- name: queue_execution
UPDATE executions SET status = 'queued', waiting = :waiting, error = NULL
WHERE id = :id AND status IN ('queued', 'running')

-- name: queue_interrupted
UPDATE executions SET status = 'queued', waiting = :waiting, engine_id = :engine_id
WHERE id = :id AND status IN ('queued', 'running')

-- name: finish_execution
UPDATE executions SET status = :status, output = :output, error = :error, reason = :reason, run_key = coalesce(:run_key, run_key),
    time_partition = coalesce(:time_partition, time_partition), cat_partition = coalesce(:cat_partition, cat_partition),
    started_at = coalesce(started_at, :started_at), ended_at = :ended_at, progress = coalesce(:progress, progress), waiting = NULL,
    cpu_seconds = :cpu_seconds, peak_memory = :peak_memory
WHERE id = :id AND status IN ('queued', 'running')

-- name: open_attempt
INSERT INTO attempts (execution_id, attempt, status, started_at, ended_at, error)
VALUES (:execution_id, :attempt, :status, :started_at, :ended_at, :error)
ON CONFLICT (execution_id, attempt) DO NOTHING

-- name: open_engine
INSERT INTO engines (pid, process_started, kind, started_at) VALUES (:pid, :process_started, :kind, :started_at)

-- name: close_engine
UPDATE engines SET ended_at = :ended_at, reason = :reason WHERE id = :id AND ended_at IS NULL

-- name: open_engines
SELECT id, pid, process_started, kind, started_at FROM engines WHERE ended_at IS NULL ORDER BY id

-- name: unfinished_of_engine
SELECT id, flow, job, kind, parent_id, root_id, status, attempt, started_at FROM executions
WHERE status IN ('queued', 'running') AND engine_id = :engine_id ORDER BY id DESC

-- name: run_key_success
SELECT execution_id, output FROM run_keys WHERE flow = :flow AND job = :job AND run_key = :run_key

-- name: save_run_key
INSERT INTO run_keys (flow, job, run_key, execution_id, output) VALUES (:flow, :job, :run_key, :execution_id, :output)
ON CONFLICT (flow, job, run_key) DO UPDATE SET execution_id = excluded.execution_id, output = excluded.output

-- name: context_of
SELECT key, value FROM context WHERE flow = :flow AND job = :job

-- name: save_context
INSERT INTO context (flow, job, key, value, execution_id) VALUES (:flow, :job, :key, :value, :execution_id)
ON CONFLICT (flow, job, key) DO UPDATE SET value = excluded.value, execution_id = excluded.execution_id

-- name: delete_context
DELETE FROM context WHERE flow = :flow AND job = :job AND key = :key

-- name: last_output
SELECT output FROM executions WHERE flow = :flow AND job = :job AND status = 'success' ORDER BY id DESC LIMIT 1

-- name: open_partition
INSERT INTO partitions (flow, job, time_partition, cat_partition, live_id)
VALUES (:flow, :job, :time_partition, :cat_partition, :execution_id)
ON CONFLICT (flow, job, time_partition, cat_partition) DO UPDATE SET live_id = excluded.live_id

-- name: finish_partitions
UPDATE partitions SET status = :status, execution_id = :execution_id, started_at = :started_at, ended_at = :ended_at,
    attempt = :attempt, live_id = NULL
WHERE live_id = :execution_id

-- name: skip_partitions
UPDATE partitions SET status = coalesce(status, 'skipped'), execution_id = coalesce(execution_id, :execution_id),
    started_at = coalesce(started_at, :started_at), ended_at = coalesce(ended_at, :ended_at), live_id = NULL
WHERE live_id = :execution_id

-- name: call_of
SELECT flow, job, kind, status, trigger, inputs, time_partition, cat_partition, scheduled_at, options
FROM executions WHERE id = :id

-- name: partition_statuses
SELECT p.time_partition, p.cat_partition, CASE WHEN e.id IS NULL THEN p.status ELSE e.status END
FROM partitions p LEFT JOIN executions e ON e.id = p.live_id
WHERE p.flow = :flow AND p.job = :job

-- name: earliest_partition
SELECT min(time_partition) FROM partitions WHERE flow = :flow AND job = :job AND time_partition <> ''
