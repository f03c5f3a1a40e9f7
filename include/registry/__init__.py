"""MLflow: register, promote, roll back, resolve, cache."""
