"""The server's face: the REST API and the pages, siblings that look at the store and act by the engine."""
