"""What ``dev.py`` is made of beside the environment: nothing of it is installed with Microflow."""
