"""Forecasts beside what then came true."""
