"""What is shown of flows, schedules, partitions and live executions: by the web app, the API and the command line."""
