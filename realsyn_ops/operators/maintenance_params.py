"""The form of `maintain_tables`."""

from airflow.sdk import Param

MAINTAIN = {
    "dry_run": Param(
        False, type="boolean", title="Dry run", description="Only say, in the log of look, what would be deleted.",
    ),
    "keep_versions_days": Param(
        7, type="integer", minimum=1, maximum=3650, title="Days of versions",
        description="Versions of the tables that are younger stay: no run may take longer than that.",
    ),
    "keep_staging_days": Param(
        14, type="integer", minimum=1, maximum=3650, title="Days of staging",
        description="Staged runs and Data Docs that were written to since then stay.",
    ),
    "keep_unfinished_days": Param(
        7, type="integer", minimum=1, maximum=3650, title="Days of unfinished things",
        description="Releases, lessons and measures without a manifest, and uploads, that are younger stay.",
    ),
}  # fmt: skip
