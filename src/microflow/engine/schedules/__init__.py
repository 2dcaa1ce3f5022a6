"""Schedules: which ticks are due, what becomes of each, and their runs."""
