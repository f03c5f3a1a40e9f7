"""What Closecast knows: the market, the lake, quality, training, scoring. Never imports Airflow."""
