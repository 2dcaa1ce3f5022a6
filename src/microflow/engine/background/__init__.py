"""What is done beside executions: timers, threads for what blocks, housekeeping."""
