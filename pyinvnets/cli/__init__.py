"""The command line, `python -m pyinvnets`."""
