-- What few executions have: an index of it costs the others nothing.
CREATE INDEX executions_run_key ON executions (run_key) WHERE run_key IS NOT NULL;
CREATE INDEX executions_time_partition ON executions (time_partition) WHERE time_partition IS NOT NULL;

-- Old ticks are deleted in small steps.
CREATE INDEX ticks_at ON ticks (at);
