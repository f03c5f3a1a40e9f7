"""Groups of commands, each mounted by `include.cli`."""
