-- What became of a job's partitions: kept in the transactions in which executions end. A "status" is that of the newest execution
-- that was not skipped, else 'skipped'. What is queued or running now is seen in the executions themselves; one that stands for many
-- partitions, which its row can't hold, is their "live" one.

-- name: open_partition
INSERT INTO partitions (flow, job, cat_partition, time_partition, live_id)
VALUES (:flow, :job, :cat_partition, :time_partition, :execution_id)
ON CONFLICT (flow, job, cat_partition, time_partition) DO UPDATE SET live_id = excluded.live_id

-- An execution that began later may have ended already; then its status stands, unless it was skipped.
-- name: record_partition
INSERT INTO partitions (flow, job, cat_partition, time_partition, execution_id, status, started_at, ended_at, attempt)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (flow, job, cat_partition, time_partition) DO UPDATE SET status = excluded.status,
    execution_id = excluded.execution_id, started_at = excluded.started_at, ended_at = excluded.ended_at, attempt = excluded.attempt
WHERE partitions.status IS NULL OR partitions.status = 'skipped'
    OR (partitions.execution_id <= excluded.execution_id AND excluded.status <> 'skipped')

-- name: finish_partitions
UPDATE partitions SET status = :status, execution_id = :execution_id, started_at = :started_at, ended_at = :ended_at,
    attempt = :attempt
WHERE live_id = :execution_id AND (status IS NULL OR status = 'skipped' OR (execution_id <= :execution_id AND :status <> 'skipped'))

-- name: leave_partitions
UPDATE partitions SET live_id = NULL WHERE live_id = :execution_id

-- What has changed since a look at a job's partitions: the status of each is of an execution that had not ended then, or came later.
-- name: partition_cursor
SELECT coalesce(
    (SELECT min(id) FROM executions WHERE status IN ('queued', 'running') AND status <> 'success' AND status <> 'skipped'
        AND flow || '' = :flow AND job || '' = :job AND kind IN ('task', 'manager')),
    (SELECT max(id) + 1 FROM executions), 1)

-- name: changed_partitions
SELECT cat_partition, time_partition, status FROM partitions
WHERE execution_id >= :cursor AND flow || '' = :flow AND job || '' = :job LIMIT :limit

-- Few executions are open, and a job may have many partitions: so the job is asked for in a way that no index answers.
-- name: live_partitions
SELECT coalesce(e.cat_partition, ''), coalesce(e.time_partition, ''), e.status, e.id FROM executions e
LEFT JOIN partitions p ON p.flow = e.flow AND p.job = e.job AND p.cat_partition = coalesce(e.cat_partition, '')
    AND p.time_partition = coalesce(e.time_partition, '')
WHERE e.status IN ('queued', 'running') AND e.status <> 'success' AND e.status <> 'skipped'
    AND e.flow || '' = :flow AND e.job || '' = :job AND e.kind IN ('task', 'manager')
    AND (e.time_partition IS NOT NULL OR e.cat_partition IS NOT NULL)
    AND (p.status IS NULL OR p.status = 'skipped' OR p.execution_id < e.id)
UNION ALL
SELECT p.cat_partition, p.time_partition, e.status, e.id FROM partitions p JOIN executions e ON e.id = p.live_id
WHERE p.live_id IS NOT NULL AND p.flow || '' = :flow AND p.job || '' = :job AND e.status IN ('queued', 'running')
    AND (p.status IS NULL OR p.status = 'skipped' OR p.execution_id < e.id)
ORDER BY 4

-- name: succeeded_partitions
SELECT time_partition, cat_partition FROM partitions
WHERE execution_id > :after AND flow || '' = :flow AND job || '' = :job AND status = 'success'

-- name: failed_partitions
SELECT time_partition, cat_partition FROM partitions
WHERE flow = :flow AND job = :job AND execution_id <= :before AND status IN ('error', 'cancelled')

-- name: earliest_partition
SELECT min(time_partition) FROM partitions
WHERE flow = :flow AND job = :job AND cat_partition = :cat_partition AND time_partition LIKE :form AND time_partition NOT LIKE :other
    AND (status IS NOT NULL OR live_id IS NOT NULL)

-- name: partition
SELECT status, execution_id, started_at, ended_at, attempt FROM partitions
WHERE flow = :flow AND job = :job AND cat_partition = :cat_partition AND time_partition = :time_partition

-- name: live_partition
SELECT id, status, queued_at, started_at, attempt FROM executions
WHERE status IN ('queued', 'running') AND status <> 'success' AND status <> 'skipped'
    AND flow || '' = :flow AND job || '' = :job AND kind IN ('task', 'manager')
    AND ((coalesce(cat_partition, '') = :cat_partition AND coalesce(time_partition, '') = :time_partition)
        OR id = (SELECT live_id FROM partitions p WHERE p.flow = :flow AND p.job = :job AND p.cat_partition = :cat_partition
            AND p.time_partition = :time_partition))
ORDER BY id DESC LIMIT 1

-- name: partition_run_times
SELECT ended_at - started_at, (SELECT count(*) FROM partitions p WHERE p.execution_id = executions.id) FROM executions
WHERE flow = :flow AND job = :job AND status = 'success' AND kind = :kind AND started_at IS NOT NULL AND ended_at IS NOT NULL
ORDER BY id DESC LIMIT 50
