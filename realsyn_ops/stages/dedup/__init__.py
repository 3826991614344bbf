"""Near-duplicates: identify groups and say of each member why it belongs to its survivor; removing is the caller's.

A *link* says that two records are near-duplicates of one kind: their vectors (`cosine`), the hashes of their pictures
(`hashes`, `crops`), their letters (`texts`). Whether two records are linked follows from the two of them, never from
what else there is or who came first: the links of a day, added to those of all days before, are the links of a rebuild.
`groups` makes groups of links.

    limits, cells = near_cells(vectors, centroids, min_similarity=0.9)     once a record
    links = cosine_links(vectors, limits, cells, is_new, min_similarity=0.9)    the new ones with all, by cells
    groups = group([Kind(Reason.SEMANTIC_DUPLICATE, vector_identity(vectors), links)], rank=rank)
"""

from realsyn_ops.stages.dedup.cells import near_cells, rows_near
from realsyn_ops.stages.dedup.cosine import cosine_links, head_basis, vector_heads
from realsyn_ops.stages.dedup.crops import crop_links, crop_windows
from realsyn_ops.stages.dedup.groups import Groups, Kind, group, near_duplicates
from realsyn_ops.stages.dedup.hashes import hash_links
from realsyn_ops.stages.dedup.links import Links, first_holders, merge_links
from realsyn_ops.stages.dedup.texts import N_BANDS, text_bands, text_identity, text_links
from realsyn_ops.stages.dedup.vectors import vector_identity

__all__ = [
    "N_BANDS",
    "Groups",
    "Kind",
    "Links",
    "cosine_links",
    "crop_links",
    "crop_windows",
    "first_holders",
    "group",
    "hash_links",
    "head_basis",
    "merge_links",
    "near_cells",
    "near_duplicates",
    "rows_near",
    "text_bands",
    "text_identity",
    "text_links",
    "vector_heads",
    "vector_identity",
]
