"""What extends Airflow itself."""
