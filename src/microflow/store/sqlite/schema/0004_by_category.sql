-- As of time partitions: what few executions have.
CREATE INDEX executions_cat_partition ON executions (cat_partition) WHERE cat_partition IS NOT NULL;
