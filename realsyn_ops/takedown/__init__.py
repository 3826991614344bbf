"""Takedown without Airflow: what a request reaches, its removal, and the proof that it is gone."""
