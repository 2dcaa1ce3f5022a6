-- The first version of the store. Times are seconds since the epoch (UTC); payloads, errors and progress are JSON text.

CREATE TABLE engines (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    process_started REAL NOT NULL,      -- with the pid it tells a living engine from another process of the same number
    kind TEXT NOT NULL,                 -- 'server' or 'local'
    started_at REAL NOT NULL,
    ended_at REAL,
    reason TEXT                         -- why it ended
);

CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,                 -- 'task', 'manager', 'dag', 'map' or 'partitions'
    status TEXT NOT NULL,
    trigger TEXT NOT NULL,
    parent_id INTEGER,
    root_id INTEGER,                    -- null for a root itself
    position INTEGER NOT NULL DEFAULT 0, -- among the parent's calls, in the order of the code and of a mapping's inputs
    inputs TEXT NOT NULL,
    output TEXT,
    error TEXT,
    reason TEXT,
    run_key TEXT,
    time_partition TEXT,                -- in the text form of its frequency
    cat_partition TEXT,
    attempt INTEGER NOT NULL DEFAULT 1,
    scheduled_at REAL,
    queued_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    progress TEXT,
    waiting TEXT,                       -- why a queued one does not run
    options TEXT,                       -- how it was asked for (force, with_inputs, a mapping's bounds), for another try
    cpu_seconds REAL,
    peak_memory INTEGER,                -- bytes
    engine_id INTEGER NOT NULL
);

CREATE INDEX executions_job ON executions (flow, job, id);
CREATE INDEX executions_tree ON executions (root_id, parent_id) WHERE root_id IS NOT NULL;
-- The many that succeed leave this index as they end, so that it stays small.
CREATE INDEX executions_open ON executions (status, id) WHERE status <> 'success' AND status <> 'skipped';

-- The runs over partitions: few, among the many executions that they make.
CREATE INDEX executions_runs ON executions (flow, job, id) WHERE kind = 'partitions';

CREATE TABLE attempts (                 -- the failed attempts before an execution's last one
    execution_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    started_at REAL,
    ended_at REAL,
    error TEXT,
    PRIMARY KEY (execution_id, attempt)
);

CREATE TABLE run_keys (                 -- the newest success of each key
    flow TEXT NOT NULL,
    job TEXT NOT NULL,
    run_key TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    output TEXT,
    PRIMARY KEY (flow, job, run_key)
);
CREATE INDEX run_keys_execution ON run_keys (execution_id);

CREATE TABLE partitions (
    flow TEXT NOT NULL,
    job TEXT NOT NULL,
    cat_partition TEXT NOT NULL,        -- '' where the job has no such dimension
    time_partition TEXT NOT NULL,       -- in the text form of its frequency
    status TEXT,                        -- of the newest execution that was not skipped, else 'skipped'; null: none ended yet
    execution_id INTEGER,               -- that execution
    started_at REAL,
    ended_at REAL,
    attempt INTEGER,
    live_id INTEGER,                    -- the execution that is queued or running for it now
    PRIMARY KEY (flow, job, cat_partition, time_partition)
) WITHOUT ROWID;                        -- a job's grid lies together, row by row as it is drawn
CREATE INDEX partitions_live ON partitions (live_id) WHERE live_id IS NOT NULL;
CREATE INDEX partitions_execution ON partitions (execution_id);

CREATE TABLE context (
    flow TEXT NOT NULL,
    job TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    PRIMARY KEY (flow, job, key)
);

CREATE TABLE schedules (
    flow TEXT NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    served_since REAL,                  -- since when it has been served as it is now; null: never, so it has missed nothing
    seen_until REAL NOT NULL,           -- every tick up to this moment has its record
    paused_at REAL,
    removed_at REAL,                    -- since when its flow has been served without it
    PRIMARY KEY (flow, name)
);

CREATE TABLE ticks (
    flow TEXT NOT NULL,
    schedule TEXT NOT NULL,
    at REAL NOT NULL,
    outcome TEXT NOT NULL,              -- 'run', 'queued', 'overlap', 'missed' or 'paused'
    reason TEXT,
    execution_id INTEGER,               -- the tick's run; for an overlap the run that was still going
    count INTEGER NOT NULL DEFAULT 1,   -- above 1: this record stands for so many ticks that did not run
    first_at REAL NOT NULL,             -- the first of them
    recorded_at REAL NOT NULL,
    PRIMARY KEY (flow, schedule, at)
);
