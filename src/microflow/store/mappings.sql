-- The inputs of mappings, kept until these have ended.

-- name: open_mapping
INSERT INTO mappings (engine_id) VALUES (:engine_id)

-- name: store_inputs
INSERT INTO mapping_inputs (mapping_id, first, inputs) VALUES (:mapping_id, :first, :inputs)

-- name: start_mapping
UPDATE mappings SET execution_id = :execution_id, size = :size WHERE id = :mapping_id

-- name: mapping_of
SELECT id, size FROM mappings WHERE execution_id = :execution_id

-- name: stored_inputs
SELECT first, inputs FROM mapping_inputs
WHERE mapping_id = :mapping_id AND first >= coalesce(
    (SELECT max(first) FROM mapping_inputs WHERE mapping_id = :mapping_id AND first <= :position), 0)
ORDER BY first LIMIT 1

-- Its execution has ended or was deleted, or the engine that stored its inputs ended before it started.
-- name: ended_mapping
SELECT m.id FROM mappings m LEFT JOIN executions e ON e.id = m.execution_id
WHERE CASE WHEN m.execution_id IS NULL
    THEN NOT EXISTS (SELECT 1 FROM engines g WHERE g.id = m.engine_id AND g.ended_at IS NULL)
    ELSE e.id IS NULL OR e.status NOT IN ('queued', 'running') END
LIMIT 1

-- name: delete_inputs
DELETE FROM mapping_inputs WHERE mapping_id = :mapping_id AND first <= coalesce(
    (SELECT first FROM mapping_inputs WHERE mapping_id = :mapping_id ORDER BY first LIMIT 1 OFFSET :count),
    (SELECT max(first) FROM mapping_inputs WHERE mapping_id = :mapping_id))

-- name: delete_mapping
DELETE FROM mappings WHERE id = :mapping_id
