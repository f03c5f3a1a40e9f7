"""A team's own pre-trained model becomes a registered version: files read as data, made into one graph."""
