"""The Airflow edge: each task reads, calls one stage and writes. The only part of the package that imports airflow."""
