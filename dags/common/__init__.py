"""Airflow-aware glue: defaults and failure callbacks."""
