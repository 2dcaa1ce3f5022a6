"""The server's face: the REST API and the pages, siblings over ``store.reading`` (looks) and the engine (acts)."""
