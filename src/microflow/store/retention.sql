-- Deleting old history. Kept whatever its age: the newest execution of each partition and of each run key, the newest success of
-- each job, and contexts.

-- name: old_executions
SELECT id, ended_at IS NOT NULL AND ended_at < :before
    AND NOT EXISTS (SELECT 1 FROM partitions p WHERE p.execution_id = executions.id)
    AND NOT EXISTS (SELECT 1 FROM run_keys r WHERE r.execution_id = executions.id)
    AND (status <> 'success' OR kind NOT IN ('task', 'manager') OR EXISTS (SELECT 1 FROM executions newer
        WHERE newer.flow = executions.flow AND newer.job = executions.job AND newer.id > executions.id
            AND newer.status = 'success' AND newer.kind IN ('task', 'manager'))), queued_at < :before
FROM executions WHERE id > :after ORDER BY id LIMIT :count

-- What may go may always go: nothing refers anew to what has ended. So the long look is no part of the transaction.
-- name: delete_execution
DELETE FROM executions WHERE id = ?

-- name: delete_attempts
DELETE FROM attempts WHERE execution_id > :after AND execution_id <= :last
    AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = attempts.execution_id)

-- name: delete_ticks
DELETE FROM ticks WHERE at < :before AND at <= coalesce((SELECT at FROM ticks ORDER BY at LIMIT 1 OFFSET :count), :before)

-- name: delete_engines
DELETE FROM engines WHERE ended_at IS NOT NULL AND ended_at < :before
