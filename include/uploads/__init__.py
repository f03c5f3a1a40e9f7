"""Readers of the daily upload, in bounded memory: where its bytes are, what its cells mean, which rows can be read."""
