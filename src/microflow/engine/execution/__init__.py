"""One execution: from the call to its end."""
