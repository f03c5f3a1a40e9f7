"""Forecasts that need no fit beyond arithmetic, for thousands of series and several windows at once.

They are what a learned model must beat. None is an artifact: each is a function of a `Panel`, one file for all but the
ridge, and `walk.py` runs them over rolling origins.
"""
