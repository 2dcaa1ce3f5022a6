-- What is looked at. Conditions start with "if_": a list is joined of those that it asks for (see ``Readable.read_newest``).

-- name: execution
SELECT id, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt,
    queued_at, started_at, ended_at, progress, waiting, root_id, inputs, output, error, scheduled_at, cpu_seconds, peak_memory
FROM executions WHERE id = :id

-- name: listed_execution
SELECT id, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt,
    queued_at, started_at, ended_at, progress, waiting,
    root_id, substr(inputs, 1, 4097), NULL, error, scheduled_at, cpu_seconds, peak_memory
FROM executions WHERE id = :id

-- name: attempts
SELECT attempt, status, started_at, ended_at, error FROM attempts WHERE execution_id = :id ORDER BY attempt

-- name: root_of
SELECT coalesce(root_id, id) FROM executions WHERE id = :id

-- name: node
SELECT id, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt,
    queued_at, started_at, ended_at, progress, waiting, position
FROM executions WHERE id = :id

-- name: child_nodes
SELECT id, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt,
    queued_at, started_at, ended_at, progress, waiting, position
FROM executions WHERE root_id = :root AND parent_id = :parent ORDER BY id LIMIT :limit

-- name: noteworthy_nodes
SELECT id, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt,
    queued_at, started_at, ended_at, progress, waiting, position
FROM executions
WHERE status = :status AND status <> 'success' AND status <> 'skipped' AND id > :after AND parent_id = :parent
ORDER BY id LIMIT :limit

-- name: remark
SELECT id, error, substr(inputs, 1, 4097) FROM executions WHERE id = :id

-- name: options
SELECT options FROM executions WHERE id = :id

-- name: partition_runs
SELECT id FROM executions WHERE kind = 'partitions' AND flow = :flow AND job = :job ORDER BY id DESC LIMIT :limit

-- name: first_id
SELECT id FROM executions ORDER BY id LIMIT 1

-- name: last_id
SELECT id FROM executions ORDER BY id DESC LIMIT 1

-- name: queued_at_from
SELECT id, queued_at FROM executions WHERE id >= :id ORDER BY id LIMIT 1

-- name: next_job
SELECT job FROM executions WHERE flow = :flow AND job > :job ORDER BY job LIMIT 1

-- name: next_flow
SELECT flow FROM executions WHERE flow > :flow ORDER BY flow LIMIT 1

-- name: execution_ids
SELECT id FROM executions

-- name: newest_first
ORDER BY id DESC LIMIT :limit

-- name: if_before
id < :before

-- name: if_from
id >= :from_id

-- name: if_to
id < :to_id

-- name: if_checked_flow
flow || '' = :flow

-- name: if_checked_job
job || '' = :job

-- name: if_job
flow = :flow AND job = :job

-- name: if_parent
root_id = :root AND parent_id = :parent

-- name: if_root
(id = :root OR root_id = :root)

-- name: if_top_level
root_id IS NULL

-- name: if_checked_top_level
root_id + 0 IS NULL

-- name: if_open_status
status = :status AND status <> 'success' AND status <> 'skipped'

-- name: if_status
status IN (:status_1, :status_2, :status_3, :status_4, :status_5, :status_6)

-- name: if_trigger
trigger = :trigger

-- name: if_run_key
run_key = :run_key

-- name: if_time_partition
time_partition = :time_partition

-- name: if_cat_partition
cat_partition = :cat_partition

-- name: if_checked_cat_partition
cat_partition || '' = :cat_partition

-- name: if_since
queued_at >= :since

-- name: if_until
queued_at <= :until

-- name: count_open
SELECT count(*) FROM executions WHERE status = :status AND status <> 'success' AND status <> 'skipped' AND id >= :from_id

-- name: top_level_statuses
SELECT status, count(*) FROM executions WHERE root_id IS NULL AND id >= :from_id AND id < :before GROUP BY status

-- name: durations
SELECT id, status, started_at, ended_at FROM executions
WHERE flow = :flow AND job = :job AND kind IN ('task', 'manager') AND started_at IS NOT NULL AND ended_at IS NOT NULL
ORDER BY id DESC LIMIT :limit

-- name: newest_of_job
SELECT id, status, started_at, ended_at FROM executions
WHERE flow = :flow AND job = :job AND kind IN ('task', 'manager') ORDER BY id DESC LIMIT 1
