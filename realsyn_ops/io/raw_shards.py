"""How a raw object splits into shards: by what it holds alone, never by the run or the workers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import Bundle
from realsyn_ops.io.formats import unpacked
from realsyn_ops.io.record_tables import TABLES, Table
from realsyn_ops.io.tars import TarBundle
from realsyn_ops.io.warc import Listed, image_index, list_records
from realsyn_ops.io.zips import ZipBundle
from realsyn_ops.records import ImageNode, Node

_PAGES = (".html", ".htm", ".xhtml")
_MAX_SHARDS = 100_000
_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A run of documents of one raw object; `asdict` of it is JSON.

    kind html, samples: the pages or records `start` to `stop` of the bundle in order of path. kind parquet: rows of
    row group `group`. kind jsonl: lines, the first at byte `offset`. kind warc: pages, the first recorded at byte
    `offset`. kind page: the object is the page. `member` is the table's path in a bundle. kind unreadable: no
    documents, one reject with `detail`.
    """

    file: str
    kind: str
    member: str = ""
    group: int = 0
    start: int = 0
    stop: int = 0
    offset: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """An object's shards, and the index of the images in the same archive: to be handed back when a shard is read."""

    shards: list[Shard]
    images: bytes = field(default=b"", repr=False)


def list_shards(raw: BinaryIO | Bundle, name: str, max_documents: int, max_bytes: int) -> Listing:
    """As `documents.list_shards`; raises BadDocumentError when nothing of the object can be read."""
    if isinstance(raw, Bundle):
        return Listing(_bundle_shards(raw, name, max_documents, max_bytes))
    with unpacked(raw) as (kind, file, damage):
        rest = [_unreadable(name, damage)] if damage else []
        if kind == "warc":
            listing = _warc_listing(file, name, max_documents, max_bytes)
        elif kind == "html":
            if damage:
                raise BadDocumentError(damage)
            listing = Listing([Shard(file=name, kind="page", stop=1)])
        elif kind in TABLES:
            listing = Listing(_table_shards(TABLES[kind](file), Shard(file=name, kind=kind), max_documents, max_bytes))
        else:
            listing = Listing(_bundle_shards(open_bundle(kind, file), name, max_documents, max_bytes))
        return replace(listing, shards=listing.shards + rest)


def _unreadable(name: str, detail: str, member: str = "") -> Shard:
    return Shard(file=name, kind="unreadable", member=member, detail=detail[:500])


def open_bundle(kind: str, file: BinaryIO) -> Bundle:
    if kind == "zip":
        return ZipBundle(file)
    return TarBundle(file)


def open_table(file: BinaryIO, bundle: Bundle | None, shard: Shard) -> Table:
    table = TABLES[shard.kind]
    return table(file) if bundle is None else table.from_bundle(bundle, shard.member)


def members_of(bundle: Bundle, kind: str) -> list[str]:
    """The members that are documents of this kind, in order."""
    endings = _PAGES if kind == "html" else (".json",)
    return [name for name in bundle.names if name.lower().endswith(endings)]


def sample_images(bundle: Bundle) -> dict[str, list[str]]:
    """The images of each WebDataset sample in order of name; a sample's key is its path up to the name's first dot."""
    samples: dict[str, list[str]] = {}
    for name in bundle.names:
        if name.lower().endswith(_IMAGES):
            samples.setdefault(_sample_key(name), []).append(name)
    return samples


def with_sample_names(nodes: Iterable[Node], bundle: Bundle, name: str, images: list[str]) -> Iterator[Node]:
    """Nodes of a WebDataset record whose images are members: by the path the record gives, or the sample's in turn."""
    folder = name.rpartition("/")[0]
    left = list(images)
    for node in nodes:
        if isinstance(node, ImageNode) and node.data is None:
            named = f"{folder}/{node.src}".lstrip("/")
            if named in bundle.sizes:
                left = [image for image in left if image != named]
                node = replace(node, src=f"/{named}", others=(node.src, *node.others))
            elif node.src not in bundle.sizes and left:
                node = replace(node, src=f"/{left.pop(0)}", others=(node.src, *node.others))
        yield node


def sample_of(images: dict[str, list[str]], name: str) -> list[str]:
    return images.get(_sample_key(name), [])


def _sample_key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _bundle_shards(bundle: Bundle, name: str, max_documents: int, max_bytes: int) -> list[Shard]:
    shards: list[Shard] = []
    n_image_bytes = sum(size for member, size in bundle.sizes.items() if member.lower().endswith(_IMAGES))
    for kind in ("html", "samples"):
        members = members_of(bundle, kind)
        share = n_image_bytes // max(1, len(members))  # which page shows which image is not known before it is read
        sizes = [bundle.sizes[member] + share for member in members]
        shards += [
            Shard(file=name, kind=kind, start=start, stop=stop)
            for start, stop in _runs(sizes, max_documents, max_bytes)
        ]
    for member in bundle.names:
        kind = member.lower().rpartition(".")[2]
        if kind in TABLES:
            shard = Shard(file=name, kind=kind, member=member)
            try:
                table = TABLES[kind].from_bundle(bundle, member)
                shards += _table_shards(table, shard, max_documents, max_bytes)
            except BadDocumentError as error:
                shards.append(_unreadable(name, str(error), member))
    if not shards and not bundle.refused:
        raise BadDocumentError("no .html, .json, .parquet or .jsonl in the bundle")
    return shards + [_unreadable(name, detail) for detail in bundle.refused]


def _table_shards(table: Table, whole: Shard, max_documents: int, max_bytes: int) -> list[Shard]:
    shards: list[Shard] = []
    try:
        for group, start, stop, offset in table.ranges(max_documents, max_bytes):
            if len(shards) == _MAX_SHARDS:
                raise BadDocumentError(f"more than {_MAX_SHARDS} shards; the rest from row {start} on is not read")
            shards.append(replace(whole, group=group, start=start, stop=stop, offset=offset))
    except BadDocumentError as error:
        if not shards:
            raise
        return [*shards, _unreadable(whole.file, str(error), whole.member)]
    if not shards:
        raise BadDocumentError("no records")
    return shards


def _warc_listing(file: BinaryIO, name: str, max_documents: int, max_bytes: int) -> Listing:
    stretches: list[list[Listed]] = [[]]  # of pages; a shard does not reach across what is damaged
    images: list[Listed] = []
    rest: list[Shard] = []
    for found in list_records(file):
        if isinstance(found, BadDocumentError):
            rest.append(_unreadable(name, str(found)))
            stretches.append([])
        else:
            (images if found.is_image else stretches[-1]).append(found)
    share = sum(image.n_bytes for image in images) // max(1, sum(map(len, stretches)))
    shards = [
        Shard(file=name, kind="warc", start=start, stop=stop, offset=pages[start].offset)
        for pages in stretches
        for start, stop in _runs([page.n_bytes + share for page in pages], max_documents, max_bytes)
    ]
    index, left_out = image_index(images)
    if left_out:
        rest.append(_unreadable(name, left_out))
    if not shards and not rest:
        raise BadDocumentError("no page in the archive")
    return Listing(shards + rest, index)


def _runs(sizes: list[int], max_documents: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Start and stop of runs of at most `max_documents` that hold at most `max_bytes`, or one document."""
    start = n_bytes = 0
    for place, size in enumerate(sizes):
        if place > start and (place - start >= max_documents or n_bytes + size > max_bytes):
            yield start, place
            start, n_bytes = place, 0
        n_bytes += size
    if len(sizes) > start:
        yield start, len(sizes)
