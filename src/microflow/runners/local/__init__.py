"""Tasks in worker processes of this machine, seen from the engine: the pool, its workers, their pipes, and what travels by them."""
