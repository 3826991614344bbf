"""Shards on a Ray cluster. `ray` is imported in `job` and `client` only, and `airflow` nowhere here.

`progress` is what both sides read and write in the bucket: the waiting trigger needs no Ray, the job no Airflow.
"""
