-- The inputs of mappings that a server was asked for, kept until the mapping has ended, so that the next server can resume it.
CREATE TABLE mappings (
    id INTEGER PRIMARY KEY,
    engine_id INTEGER NOT NULL,         -- the engine that stores the inputs
    execution_id INTEGER,               -- the mapping; null until all inputs are stored
    size INTEGER                        -- how many calls it makes
);
CREATE UNIQUE INDEX mappings_execution ON mappings (execution_id) WHERE execution_id IS NOT NULL;

CREATE TABLE mapping_inputs (
    mapping_id INTEGER NOT NULL,
    first INTEGER NOT NULL,             -- the position of its first call among the mapping's calls, from 0
    inputs TEXT NOT NULL,               -- a JSON array with the inputs of some consecutive calls
    PRIMARY KEY (mapping_id, first)
);
