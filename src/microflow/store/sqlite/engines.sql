-- Engines by their processes: only engines on this machine can be told alive from dead.

-- name: open_engine
INSERT INTO engines (pid, process_started, kind, started_at) VALUES (:pid, :process_started, :kind, :started_at)

-- name: open_engines
SELECT id, pid, process_started, kind, started_at FROM engines WHERE ended_at IS NULL ORDER BY id

-- name: last_server
SELECT pid, process_started, started_at, ended_at FROM engines WHERE kind = 'server' ORDER BY id DESC LIMIT 1
