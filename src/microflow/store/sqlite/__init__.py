"""A store in one SQLite file, with its logs in a folder beside it."""
