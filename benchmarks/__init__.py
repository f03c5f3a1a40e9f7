"""Each number the README claims, as one command: `python -m benchmarks.NAME`."""
