"""What an engine that died, or that stops, has left: resumed by the next one, or ended."""
