"""Whether a challenger may serve: the paired test, the guards, the search for leaks."""
