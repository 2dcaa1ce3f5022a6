"""Partitions as an engine sees them: the keys of a call, and grids of statuses."""
