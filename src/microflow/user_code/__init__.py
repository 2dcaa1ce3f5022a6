"""The code of users: what the names of its modules mean, and with which content they are imported."""
