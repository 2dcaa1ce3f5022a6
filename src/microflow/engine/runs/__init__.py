"""Calls, one or many: mappings, DAG runs, runs over partitions."""
