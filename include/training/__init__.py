"""A retrain, step by step: snapshot, fit, register, judge, promote, each with a record of its own."""
