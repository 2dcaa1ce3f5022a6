"""The parts of ``dev.py`` besides the environment. None of them is installed with Microflow."""
