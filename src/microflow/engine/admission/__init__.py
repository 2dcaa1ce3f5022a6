"""Who may run: slots, taken all at once or not at all, under limits."""
