"""The REST API: its table of endpoints, what it takes and gives."""
