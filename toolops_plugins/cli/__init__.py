"""The command line: ``toolops``, or ``python -m toolops_plugins.cli``."""
