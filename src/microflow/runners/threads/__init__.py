"""Jobs in threads of the main process: what they print, log and start belongs to their executions."""
