"""Who may do what: every route asks Airflow, by the user's token or cookie, as Airflow's own routes do.

To read is to be allowed to read the Dags whose data is shown; to operate, to trigger those that make it; to take down,
to trigger `takedown`. Several Dags are asked about at once: it is asked for every picture of a page.
"""

from collections.abc import Callable
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException

User = Annotated[Any, Depends(get_user)]
"""Whoever asks, as Airflow knows him; 401 for nobody."""
READ_FROM = ("pair_texts", "release_dataset")
OPERATED = ("curate_images", "cluster_sentences")
TAKEDOWN = ("takedown",)


def may_read(user: User) -> bool:
    return _is_allowed(user, "GET", None, READ_FROM)


def may_trigger(user: User, dags: tuple[str, ...]) -> bool:
    return _is_allowed(user, "POST", DagAccessEntity.RUN, dags)


def _is_allowed(user: User, method: str, entity: DagAccessEntity | None, dags: tuple[str, ...]) -> bool:
    teams = DagModel.get_dag_id_to_team_name_mapping(list(dags))
    asked = [
        {"method": method, "access_entity": entity, "details": DagDetails(id=dag, team_name=teams.get(dag))}
        for dag in dags
    ]
    return get_auth_manager().batch_is_authorized_dag(asked, user=user)


def _required(is_allowed: Callable[[User], bool]) -> Callable[[User], None]:
    def check(user: User) -> None:
        if not is_allowed(user):
            raise HTTPException(403, "Forbidden")

    return check


READ = [Depends(_required(may_read))]
OPERATE = [Depends(_required(lambda user: may_trigger(user, OPERATED)))]
TAKE_DOWN = [Depends(_required(lambda user: may_trigger(user, TAKEDOWN)))]
