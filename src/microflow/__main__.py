"""``python -m microflow``: the command line, where the ``microflow`` command is not on PATH."""

from .cli import main

if __name__ == "__main__":
    main()
