"""Answers to uploads that are no part of the lake: every row's open forecast from the rows before it, as one CSV."""
