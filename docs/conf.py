"""How the documentation is built: ``python3 dev.py docs``."""

project = "Microflow"
copyright = "2026, The Microflow authors"  # noqa: A001 - Sphinx wants this name
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_title = "Microflow"
