"""The worker process, ``python -m microflow.runners.local.child``: it runs requests and restores its state after each."""
