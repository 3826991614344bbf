"""What a request reaches in the corpus: a tombstone, the keys to work on, and the bytes that must not be found again.

A document goes with the images and sentences that stand in no other; what stands elsewhere too only loses its places.
Nothing is written here: a dry run is this and no more.
"""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.takedowns import NEEDLES
from realsyn_ops.records import sentence_key, url_key
from realsyn_ops.stages.embed import picture_hash
from realsyn_ops.takedown.request import Request
from realsyn_ops.tombstones import Tombstone, Tombstones, has_pattern, letters_key

_WINDOW = 64
_MIN_DISTINCT = 12
_AT_ONCE = 500
EMBEDDINGS = {"image_embeddings": ("embedding", "visual"), "sentence_embeddings": ("embedding",)}


@dataclass(frozen=True)
class Work:
    """Keys of what is touched, by kind. ``recounted`` stand elsewhere too, ``lost`` are survivors of groups that lose
    a record, ``days`` those of tables that change, ``versions`` those of the tables before."""

    documents: list[str]
    images: list[str]
    sentences: list[str]
    recounted: list[str]
    shortened: list[str]
    lost: list[str]
    days: list[str]
    versions: dict[str, int]

    def joined(self, before: dict[str, Any] | None) -> "Work":
        """With what an earlier try of the same takedown had found."""
        if not before:
            return self
        found = {name: sorted({*value, *before[name]}) for name, value in asdict(self).items() if name != "versions"}
        return Work(**found, versions=before["versions"])


@dataclass(frozen=True)
class Found:
    tombstone: Tombstone
    work: Work
    needles: pa.Table
    places: list[dict[str, Any]]


def find(corpus: Corpus, request: Request, *, when: str, by: str, why: str) -> Found:
    """``places``: file, record and document of all that goes; ``of``: how many documents the file has."""
    documents = _table(corpus, "documents", ["key", "day", "url", "file", "record", "source"])
    image_nodes = _table(corpus, "image_nodes", ["key", "day", "document_key", "node", "url"])
    sentence_nodes = _table(corpus, "sentence_nodes", ["key", "day", "document_key"])
    asked = _asked(request, when, by, why)
    down = Tombstones([asked])
    rows = zip(documents["key"].to_pylist(), documents["url"].to_pylist(), strict=True)
    gone = sorted({key for key, url in rows if down.document(key, url or "")})
    named, phashes = _images(corpus, request, down, image_nodes)
    images = sorted(named | _only_in(image_nodes, gone))
    sentences = sorted(_sentences(corpus, request, down) | _only_in(sentence_nodes, gone))
    tombstone = asked.joined(
        Tombstone(
            id=asked.id, when=when, by=by, why=why, documents=tuple(gone), images=tuple(images),
            sentences=tuple(sentences), phashes=phashes, urls=_addresses(documents, gone),
        )
    )  # fmt: skip
    touched = [
        nodes.filter(pc.or_(_among(nodes["document_key"], gone), _among(nodes["key"], [*images, *sentences])))
        for nodes in (image_nodes, sentence_nodes)
    ]
    touched_documents = {key for nodes in touched for key in nodes["document_key"].to_pylist()}
    taken = {*images, *sentences}
    work = Work(
        documents=gone,
        images=images,
        sentences=sentences,
        recounted=sorted({key for nodes in touched for key in nodes["key"].to_pylist()} - taken),
        shortened=sorted(touched_documents - {*gone}),
        lost=sorted(_groups(corpus, "curated_images", images) | _groups(corpus, "sentence_clusters", sentences)),
        days=sorted({day for nodes in (*touched, _with_keys(documents, gone)) for day in nodes["day"].to_pylist()}),
        versions={name: corpus.version(name) for name in corpus.tables()},
    )
    places = _with_keys(documents, sorted(touched_documents | {*gone})).to_pylist()
    is_gone, of_file = set(gone), Counter(documents["file"].to_pylist())
    listed = [
        {name: row[name] for name in ("day", "file", "record")}
        | {"document": row["key"], "whole": row["key"] in is_gone, "of": of_file[row["file"]]}
        for row in places
    ]
    return Found(tombstone, work, _needles(corpus, images, sentences), listed)


def _asked(request: Request, when: str, by: str, why: str) -> Tombstone:
    near = tuple(f"{phash}/{request.max_hash_distance}" for phash in request.phashes)
    names = ("documents", "urls", "images", "sentences", "letters", "domains", "patterns")
    return Tombstone(
        id=request.id, when=when, by=by, why=why, phashes=near, **{name: getattr(request, name) for name in names}
    )


def _images(corpus: Corpus, request: Request, down: Tombstones, nodes: pa.Table) -> tuple[set[str], tuple[str, ...]]:
    """Images that are asked for by key, address or look, with those that look like them; and the hashes that block
    these from now on. What a domain serves goes by itself, without its like: much of it is logos."""
    found = {key for key in nodes["key"].to_pylist() if down.image(key)}
    of_domain: set[str] = set()
    if request.urls or request.domains:
        for url, key in _served(corpus, nodes):
            if down.url(url):
                (found if url_key(url) in request.urls else of_domain).add(key)
    if not (found or request.phashes):
        return of_domain, ()
    hashes = _hashes(corpus)
    phashes = {*request.phashes, *(f"{hashes[key]:016x}" for key in found if key in hashes)}
    keys, values = list(hashes), np.array(list(hashes.values()), np.uint64)
    for phash in phashes:
        distances = np.bitwise_count(values ^ np.uint64(int(phash, 16)))
        found |= {keys[i] for i in np.flatnonzero(distances <= request.max_hash_distance)}
    return found | of_domain, tuple(f"{phash}/{request.max_hash_distance}" for phash in sorted(phashes))


def _served(corpus: Corpus, nodes: pa.Table) -> set[tuple[str, str]]:
    """Every address that is known of an image, with its key."""
    served = set(zip(nodes["url"].to_pylist(), nodes["key"].to_pylist(), strict=True))
    if corpus.exists("fetches"):
        for row in corpus.read("fetches", ["url", "final_url", "image_key"], where="image_key IS NOT NULL").to_pylist():
            served |= {(row["url"], row["image_key"]), (row["final_url"], row["image_key"])}
    return {(url, key) for url, key in served if url}


def _hashes(corpus: Corpus) -> dict[str, int]:
    """Perceptual hash of each image: as it is kept, and made for those that a rule refused before they were hashed."""
    if not corpus.exists("images"):
        return {}
    known: dict[str, int] = {}
    if corpus.exists("image_embeddings"):
        table = corpus.read("image_embeddings", ["key", "phash"])
        known = dict(zip(table["key"].to_pylist(), table["phash"].to_pylist(), strict=True))
    light = corpus.read("images", ["key"])
    for rows in _by_key(corpus, "images", ["key", "data"], sorted({*light["key"].to_pylist()} - known.keys())):
        for key, data in zip(rows["key"].to_pylist(), rows["data"].to_pylist(), strict=True):
            try:
                known[key] = picture_hash(data)
            except (OSError, ValueError):
                continue
    return known


def _sentences(corpus: Corpus, request: Request, down: Tombstones) -> set[str]:
    if not corpus.exists("sentences") or not (request.sentences or request.letters or request.patterns):
        return set()
    found: set[str] = set()
    for part in corpus.scan("sentences", ["key", "text"]):
        keys, texts = part["key"].to_pylist(), part["text"].to_pylist()
        found |= {key for key in keys if key in request.sentences}
        for pattern in down.patterns:
            found |= {key for key, has in zip(keys, has_pattern(texts, pattern), strict=True) if has}
        if request.letters:
            found |= {key for key, text in zip(keys, texts, strict=True) if letters_key(text) in request.letters}
    return found


def _only_in(nodes: pa.Table, documents: list[str]) -> set[str]:
    """Keys of what stands in these documents and in no others."""
    is_there = _among(nodes["document_key"], documents)
    return set(nodes["key"].filter(is_there).to_pylist()) - set(nodes["key"].filter(pc.invert(is_there)).to_pylist())


def _addresses(documents: pa.Table, gone: list[str]) -> tuple[str, ...]:
    urls = _with_keys(documents, gone)["url"].to_pylist()
    return tuple(sorted({url_key(url) for url in urls if url}))


def _groups(corpus: Corpus, table: str, keys: list[str]) -> set[str]:
    """Survivors of the groups that these records are in."""
    if not keys or not corpus.exists(table):
        return set()
    rows = corpus.read(table, ["key", "survivor"])
    return set(_with_keys(rows, keys)["survivor"].drop_null().to_pylist()) - {""}


def _needles(corpus: Corpus, images: list[str], sentences: list[str]) -> pa.Table:
    """A stretch of each image's bytes, each text, and a stretch of each vector that no other record has."""
    rows: list[dict[str, Any]] = [{"kind": "key", "key": key, "data": key.encode()} for key in (*images, *sentences)]
    for part in _by_key(corpus, "images", ["key", "data"], images):
        for key, data in zip(part["key"].to_pylist(), part["data"].to_pylist(), strict=True):
            rows.append({"kind": "image", "key": key, "data": _stretch(data)})
    for part in _by_key(corpus, "sentences", ["key", "text"], sentences):
        texts = zip(part["key"].to_pylist(), part["text"].to_pylist(), strict=True)
        rows += [
            {"kind": "text", "key": key, "data": text.encode()} for key, text in texts if key == sentence_key(text)
        ]
    for table, columns in EMBEDDINGS.items():
        if corpus.exists(table):
            keys = images if table == "image_embeddings" else sentences
            rows += _vectors(corpus, table, columns, keys)
    unique = {(row["kind"], row["key"], row["data"]): row for row in rows}
    return pa.Table.from_pylist([unique[name] for name in sorted(unique)], schema=NEEDLES)


def _vectors(corpus: Corpus, table: str, columns: tuple[str, ...], keys: list[str]) -> list[dict[str, Any]]:
    hashes = corpus.read(table, ["key", "vector_hash"])
    others = hashes.filter(pc.invert(_among(hashes["key"], keys)))["vector_hash"]
    shared = set(pc.unique(others).to_pylist())
    rows = []
    for part in _by_key(corpus, table, ["key", "vector_hash", *columns], keys):
        for column in columns:
            width = part.schema.field(column).type.list_size
            values = part[column].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
            names = zip(part["key"].to_pylist(), part["vector_hash"].to_pylist(), strict=True)
            for (key, same), vector in zip(names, values, strict=True):
                data = vector.tobytes()[:_WINDOW]
                if same not in shared and len(set(data)) >= _MIN_DISTINCT:
                    rows.append({"kind": "vector", "key": key, "data": data})
    return rows


def _stretch(data: bytes) -> bytes:
    """Bytes from the middle that tell this image from others; all of it where no stretch does."""
    for place in (len(data) // 2, len(data) // 3, len(data) // 4):
        found = data[place : place + _WINDOW]
        if len(set(found)) >= _MIN_DISTINCT:
            return found
    return data


def _by_key(corpus: Corpus, table: str, columns: list[str], keys: list[str]) -> Any:
    """Rows of these keys, some hundred at a time."""
    if keys and corpus.exists(table):
        for start in range(0, len(keys), _AT_ONCE):
            listed = ", ".join(f"'{key}'" for key in keys[start : start + _AT_ONCE])
            yield from corpus.scan(table, columns, where=f"key IN ({listed})")


def _table(corpus: Corpus, name: str, columns: list[str]) -> pa.Table:
    if corpus.exists(name):
        return corpus.read(name, columns)
    return pa.table({column: pa.array([], pa.string()) for column in columns})


def _among(column: pa.ChunkedArray, values: list[str]) -> Any:
    return pc.is_in(column, pa.array(values, pa.string()))


def _of(table: pa.Table, column: str, values: list[str]) -> pa.Table:
    return table.filter(_among(table[column], values))


def _with_keys(table: pa.Table, keys: list[str]) -> pa.Table:
    return _of(table, "key", keys)


def by_kind(needles: pa.Table) -> dict[str, int]:
    """How many things are looked for, by kind."""
    counts: dict[str, int] = defaultdict(int)
    for kind in needles["kind"].to_pylist():
        counts[kind] += 1
    return dict(counts)
