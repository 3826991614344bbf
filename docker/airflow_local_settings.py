"""Read by every Airflow process at its start: it lies in the folder `config` of Airflow's home."""

from realsyn_ops.preload import preload

preload()
