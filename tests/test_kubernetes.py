"""docker/helm/: values of the official Airflow chart, the pod with a GPU, the Ray cluster. No cluster is needed: files
are held against tests/kubernetes.schema.yaml, against each other, and against the lock and the settings."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.settings import Settings

HELM = PROJECT / "docker" / "helm"
SCHEMAS = yaml.safe_load((PROJECT / "tests" / "kubernetes.schema.yaml").read_text())
SETTINGS = {f"REALSYN_{field.upper()}" for field in Settings.model_fields}


def read(name: str) -> Any:
    return yaml.safe_load((HELM / name).read_text())


def problems(name: str, content: Any) -> list[str]:
    schema = {**SCHEMAS["files"][name], "definitions": SCHEMAS["definitions"]}
    return [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(content)
    ]


@pytest.mark.parametrize("name", sorted(path.name for path in HELM.iterdir()))
def test_a_file_holds_what_its_schema_allows(name: str) -> None:
    assert problems(name, read(name)) == []


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("values.yaml", ["config", "core", "dags_folder"], ["a", "list"]),
        ("values.yaml", ["worker"], {}),
        ("values.yaml", ["env", 0, "value"], 1),
        ("values.yaml", ["logs", "persistence", "enabled"], "yes"),
        ("gpu-pod.yaml", ["spec", "tolerations", 0, "effect"], "Never"),
        ("gpu-pod.yaml", ["spec", "containers", 0, "resources", "limits", "memory"], "lots"),
        ("raycluster.yaml", ["spec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        ("raycluster.yaml", ["spec", "workerGroups"], []),
    ],
)
def test_a_planted_mistake_is_found(name: str, path: list, value: object) -> None:
    content = read(name)
    *parents, last = path
    place = content
    for part in parents:
        place = place[part]
    place[last] = value
    assert len(problems(name, content)) == 1


def containers(name: str) -> list[dict[str, Any]]:
    """Containers of a file's pods."""
    content = read(name)
    if name == "gpu-pod.yaml":
        return content["spec"]["containers"]
    groups = [content["spec"]["headGroupSpec"], *content["spec"]["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def test_the_settings_named_there_are_settings_and_a_gpu_pod_differs_in_its_device_alone() -> None:
    values = read("values.yaml")
    shared = {item["name"]: item["value"] for item in values["env"]}
    (gpu,) = [variables(container) for container in containers("gpu-pod.yaml")]
    for names in (shared, gpu, *(variables(container) for container in containers("raycluster.yaml"))):
        assert {name for name in names if name.startswith("REALSYN_")} <= SETTINGS
    assert {name: value for name, value in gpu.items() if name.startswith("REALSYN_")} == {
        **{name: value for name, value in shared.items() if name.startswith("REALSYN_")},
        "REALSYN_DEVICE": "cuda",
    }
    ray = [variables(container) for container in containers("raycluster.yaml")]
    assert all(
        node[name] == shared[name] for node in ray for name in ("REALSYN_PRESET", "REALSYN_MODELS_PATH", "HF_HOME")
    )


def test_connections_and_keys_come_from_secrets_only() -> None:
    values = read("values.yaml")
    given = {item["envName"]: {"name": item["secretName"], "key": item["secretKey"]} for item in values["secret"]}
    conn_id = Settings.model_fields["s3_conn_id"].default.upper()
    assert set(given) >= {f"AIRFLOW_CONN_{conn_id}", "AIRFLOW_CONN_REALSYN_REWRITER", "AIRFLOW_CONN_REALSYN_CAPTIONER"}
    secret = re.compile(r"CONN_|PASSWORD$|TOKEN$|KEY$")
    assert not [item["name"] for item in values["env"] if secret.search(item["name"])]
    for container in [*containers("gpu-pod.yaml"), *containers("raycluster.yaml")]:
        found = {name: value for name, value in variables(container).items() if secret.search(name)}
        assert found
        for name, source in found.items():
            assert source["secretKeyRef"] == given.get(
                name, {"name": values["fernetKeySecretName"], "key": "fernet-key"}
            )


def test_tasks_with_models_get_the_pod_that_is_mounted_and_asks_for_a_gpu() -> None:
    values = read("values.yaml")
    shared = {item["name"]: item["value"] for item in values["env"]}
    (mount,) = [m["mountPath"] for m in values["volumeMounts"] if m["name"] == "pods"]
    assert shared["REALSYN_MODEL_POD_TEMPLATE"] == f"{mount}/gpu.yaml"
    assert "--from-file=gpu.yaml=docker/helm/gpu-pod.yaml" in (HELM / "gpu-pod.yaml").read_text()
    pod = read("gpu-pod.yaml")["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"]
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    named = {volume["name"] for volume in pod["volumes"]}
    assert {m["name"] for container in pod["containers"] for m in container["volumeMounts"]} == named
    script = values["migrateDatabaseJob"]["args"][0]
    for pool in ("REALSYN_MODEL_POOL", "REALSYN_MEMORY_POOL"):
        assert f"airflow pools set {shared[pool]} " in script


def test_versions_are_those_of_the_lock_and_no_shard_is_made_on_the_head() -> None:
    lock = dict(re.findall(r"^([\w.-]+)==([^ ]+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE))
    assert read("values.yaml")["airflowVersion"] == lock["apache-airflow"]
    cluster = read("raycluster.yaml")["spec"]
    assert cluster["rayVersion"] == lock["ray"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert variables(containers("raycluster.yaml")[0])["GRPC_ENABLE_FORK_SUPPORT"] == "0"
    assert containers("raycluster.yaml")[1]["resources"]["limits"]["nvidia.com/gpu"] == "1"
