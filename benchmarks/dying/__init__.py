"""What makes tasks and components die for the benchmarks `deaths` and `soak`; the system itself knows nothing of it."""
