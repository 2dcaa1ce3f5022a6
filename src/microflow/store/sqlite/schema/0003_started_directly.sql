-- What nobody called is what pages list and count: few, where mappings make many. It costs those that are called nothing.
CREATE INDEX executions_top ON executions (root_id) WHERE root_id IS NULL;
