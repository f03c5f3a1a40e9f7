"""Finds what no callback tells: from inside Airflow (`patrol`), and from outside when Airflow is dead (`watcher`)."""
