-- Deleting old history. Kept whatever its age: the newest execution of each partition and of each run key, and contexts.

-- name: old_executions
SELECT id, ended_at IS NOT NULL AND ended_at < :before
    AND NOT EXISTS (SELECT 1 FROM partitions p WHERE p.execution_id = executions.id)
    AND NOT EXISTS (SELECT 1 FROM run_keys r WHERE r.execution_id = executions.id), queued_at < :before
FROM executions WHERE id > :after ORDER BY id LIMIT :count

-- name: delete_old_executions
DELETE FROM executions WHERE id > :after AND id <= :last AND ended_at IS NOT NULL AND ended_at < :before
    AND NOT EXISTS (SELECT 1 FROM partitions p WHERE p.execution_id = executions.id)
    AND NOT EXISTS (SELECT 1 FROM run_keys r WHERE r.execution_id = executions.id)

-- name: delete_attempts
DELETE FROM attempts WHERE execution_id > :after AND execution_id <= :last
    AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = attempts.execution_id)

-- name: delete_ticks
DELETE FROM ticks WHERE at < :before AND at <= coalesce((SELECT at FROM ticks ORDER BY at LIMIT 1 OFFSET :count), :before)

-- name: delete_engines
DELETE FROM engines WHERE ended_at IS NOT NULL AND ended_at < :before
