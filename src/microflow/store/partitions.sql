-- What became of a job's partitions: kept in the transactions in which executions open and end. A "status" is that of the newest
-- execution that was not skipped, else 'skipped'; "live" is the execution that is queued or running for the partition now.

-- name: open_partition
INSERT INTO partitions (flow, job, cat_partition, time_partition, live_id)
VALUES (:flow, :job, :cat_partition, :time_partition, :execution_id)
ON CONFLICT (flow, job, cat_partition, time_partition) DO UPDATE SET live_id = excluded.live_id

-- name: finish_partitions
UPDATE partitions SET status = :status, execution_id = :execution_id, started_at = :started_at, ended_at = :ended_at,
    attempt = :attempt, live_id = NULL
WHERE live_id = :execution_id

-- An execution that began later is live, or has ended, for this partition. One that was skipped does not count.
-- name: record_partition
INSERT INTO partitions (flow, job, cat_partition, time_partition, status, execution_id, started_at, ended_at, attempt)
VALUES (:flow, :job, :cat_partition, :time_partition, :status, :execution_id, :started_at, :ended_at, :attempt)
ON CONFLICT (flow, job, cat_partition, time_partition) DO UPDATE SET status = excluded.status,
    execution_id = excluded.execution_id, started_at = excluded.started_at, ended_at = excluded.ended_at, attempt = excluded.attempt
WHERE partitions.status IS NULL OR partitions.status = 'skipped'
    OR (partitions.execution_id <= excluded.execution_id AND excluded.status <> 'skipped')

-- After a skip an earlier execution may still be at it; that it has ended already is not seen before its own end is recorded.
-- name: skip_partitions
UPDATE partitions SET status = coalesce(status, 'skipped'),
    execution_id = CASE WHEN coalesce(status, 'skipped') = 'skipped' THEN :execution_id ELSE execution_id END,
    started_at = CASE WHEN coalesce(status, 'skipped') = 'skipped' THEN :started_at ELSE started_at END,
    ended_at = CASE WHEN coalesce(status, 'skipped') = 'skipped' THEN :ended_at ELSE ended_at END,
    attempt = CASE WHEN coalesce(status, 'skipped') = 'skipped' THEN :attempt ELSE attempt END,
    live_id = (
        SELECT max(e.id) FROM executions e
        WHERE e.status IN ('queued', 'running') AND e.status <> 'success' AND e.status <> 'skipped'
            AND e.flow = partitions.flow AND e.job = partitions.job AND e.kind IN ('task', 'manager')
            AND coalesce(e.time_partition, '') = partitions.time_partition
            AND coalesce(e.cat_partition, '') = partitions.cat_partition
    )
WHERE live_id = :execution_id

-- The partition that an execution was called for, where its result says that it stands for another one.
-- name: leave_partitions
UPDATE partitions SET live_id = NULL WHERE live_id = :execution_id

-- One row for each category: its times in one text and their statuses in another, since a row for each of 200,000 cells would
-- take most of the time that there is. PostgreSQL calls the function string_agg.
-- name: partition_statuses
SELECT cat_partition, group_concat(time_partition, ','), group_concat(status, '') FROM partitions
WHERE flow = :flow AND job = :job AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition

-- name: partition_durations
SELECT cat_partition, group_concat(time_partition, ','), group_concat(CASE
    WHEN started_at IS NULL OR ended_at IS NULL THEN ' ' WHEN ended_at - started_at < :level_0 THEN 'a'
    WHEN ended_at - started_at < :level_1 THEN 'b' WHEN ended_at - started_at < :level_2 THEN 'c'
    WHEN ended_at - started_at < :level_3 THEN 'd' WHEN ended_at - started_at < :level_4 THEN 'e'
    WHEN ended_at - started_at < :level_5 THEN 'f' WHEN ended_at - started_at < :level_6 THEN 'g'
    WHEN ended_at - started_at < :level_7 THEN 'h' WHEN ended_at - started_at < :level_8 THEN 'i'
    WHEN ended_at - started_at < :level_9 THEN 'j' WHEN ended_at - started_at < :level_10 THEN 'k'
    ELSE 'l' END, '') FROM partitions
WHERE flow = :flow AND job = :job AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition

-- name: partition_ages
SELECT cat_partition, group_concat(time_partition, ','), group_concat(CASE
    WHEN ended_at IS NULL THEN ' ' WHEN :now - ended_at < :level_0 THEN 'a'
    WHEN :now - ended_at < :level_1 THEN 'b' WHEN :now - ended_at < :level_2 THEN 'c' WHEN :now - ended_at < :level_3 THEN 'd'
    WHEN :now - ended_at < :level_4 THEN 'e' WHEN :now - ended_at < :level_5 THEN 'f' WHEN :now - ended_at < :level_6 THEN 'g'
    WHEN :now - ended_at < :level_7 THEN 'h' WHEN :now - ended_at < :level_8 THEN 'i' WHEN :now - ended_at < :level_9 THEN 'j'
    WHEN :now - ended_at < :level_10 THEN 'k' ELSE 'l' END, '') FROM partitions
WHERE flow = :flow AND job = :job AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition

-- The job is asked for in a way that no index answers: there are few live ones, and many partitions of the job.
-- name: live_partitions
SELECT p.cat_partition, p.time_partition, e.status FROM partitions p JOIN executions e ON e.id = p.live_id
WHERE p.live_id IS NOT NULL AND p.flow || '' = :flow AND p.job || '' = :job AND e.status IN ('queued', 'running')

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
SELECT p.status, p.execution_id, p.started_at, p.ended_at, p.attempt, e.id, e.status, e.queued_at, e.started_at, e.attempt
FROM partitions p LEFT JOIN executions e ON e.id = p.live_id AND e.status IN ('queued', 'running')
WHERE p.flow = :flow AND p.job = :job AND p.cat_partition = :cat_partition AND p.time_partition = :time_partition

-- name: partition_run_times
SELECT ended_at - started_at, (SELECT count(*) FROM partitions p WHERE p.execution_id = executions.id) FROM executions
WHERE flow = :flow AND job = :job AND status = 'success' AND kind = :kind AND started_at IS NOT NULL AND ended_at IS NOT NULL
ORDER BY id DESC LIMIT 50
