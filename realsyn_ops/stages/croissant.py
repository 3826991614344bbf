"""A release described to machines: Croissant 1.0 (MLCommons), JSON-LD that data set search and loaders read.

Files are named by their place in the release, beside this description, with their checksums.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in (
        "column", "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isLiveDataset",
        "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace",
        "separator", "source", "subField", "transform",
    )},
    "citeAs": "cr:citeAs",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
}  # fmt: skip
_FORMATS = {".parquet": "application/x-parquet", ".tar": "application/x-tar"}
_TYPES = {pa.string(): "sc:Text", pa.int32(): "sc:Integer", pa.float32(): "sc:Float"}
_MEANINGS = {
    "raw_image_url": "Where the image can be fetched.",
    **{f"text{rank}": f"Realistic text {rank}: the sentence of all documents that is most like the image, by rank."
       for rank in (1, 2, 3)},
    "syn_text": "Synthetic text: the first realistic text, a caption and tags, merged.",
    "key": "The image's key, a hash of its content.",
    "day": "Day of the documents that brought the image.",
    "document_key": "The document that the image stands in: its key.",
    "document_url": "The document that the image stands in: its address, or where it lies in the raw input.",
    "node": "Which node of the document the image is.",
    **{f"text{rank}_key": f"Key of realistic text {rank}, a hash of its letters." for rank in (1, 2, 3)},
    **{f"text{rank}_similarity": f"Cosine of the image and realistic text {rank}." for rank in (1, 2, 3)},
    **{f"text{rank}_document_url": f"The document that realistic text {rank} stands in." for rank in (1, 2, 3)},
    **{f"text{rank}_node": f"Which node of its document realistic text {rank} is part of." for rank in (1, 2, 3)},
    "caption": "What a captioner says of the image.",
    "tags": "Tags of the image, best first.",
    "syn_origin": "Who wrote the synthetic text: the rewriter, or a template where its answer was refused.",
    "syn_similarity": "Cosine of the image and the synthetic text.",
    "models": "The models that made the pair, by kind, as a JSON object.",
}  # fmt: skip
_PAPER = (
    "Gu et al., RealSyn: An Effective and Scalable Multimodal Interleaved Document Transformation Paradigm, "
    "ACM MM 2025, arXiv 2502.12513"
)


def croissant(report: Mapping[str, Any], *, folder: str, columns: pa.Schema) -> bytes:
    """The description of a release with ``version, days, files`` whose ``folder`` holds parquet of these columns.

    It says nothing of when it was made: the newest day of documents stands for the date, so that the same release has
    the same bytes.
    """
    files = [file for file in report["files"] if file["path"].endswith(tuple(_FORMATS))]
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"realsyn-ops-{report['version']}",
        "description": "Image-text pairs for CLIP pre-training, from interleaved documents by the method of RealSyn. "
        "Pictures and sentences keep the licences of the documents they come from.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": _PAPER,
        "license": "https://spdx.org/licenses/NOASSERTION",
        "url": "https://arxiv.org/abs/2502.12513",
        "version": "1.0.0",
        "datePublished": max(report["days"], default=""),
        "distribution": [*map(_file, files), _file_set(folder)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": folder,
                "name": folder,
                "field": [_field(folder, column) for column in columns],
            }
        ],
    }
    return json.dumps(described, indent=1, ensure_ascii=False).encode()


def checksums(files: Iterable[Mapping[str, Any]]) -> bytes:
    """The files as ``sha256sum --check`` reads them, in order of path."""
    return "".join(f"{file['sha256']}  {file['path']}\n" for file in sorted(files, key=lambda f: f["path"])).encode()


def _file(file: Mapping[str, Any]) -> dict[str, Any]:
    suffix = file["path"][file["path"].rindex(".") :]
    return {
        "@type": "cr:FileObject",
        "@id": file["path"],
        "name": file["path"],
        "contentUrl": file["path"],
        "contentSize": f"{file['bytes']} B",
        "encodingFormat": _FORMATS[suffix],
        "sha256": file["sha256"],
    }


def _file_set(folder: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{folder}-files",
        "name": f"{folder}-files",
        "encodingFormat": _FORMATS[".parquet"],
        "includes": f"{folder}/*.parquet",
    }


def _field(folder: str, column: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(column.type)
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{folder}/{column.name}",
        "name": column.name,
        "description": _MEANINGS[column.name],
        "dataType": _TYPES[column.type.value_type if is_list else column.type],
        "source": {"fileSet": {"@id": f"{folder}-files"}, "extract": {"column": column.name}},
    }
    return field | {"repeated": True} if is_list else field
