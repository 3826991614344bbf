"""What a request may say: keys, versions and days by their exact form, numbers within bounds. Nothing is a path."""

from typing import Annotated

from fastapi import Path, Query

_DAY = r"^(\d{4}-\d{2}-\d{2})?$"
_VERSION = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"

ImageKey = Annotated[str, Path(pattern=r"^i[0-9a-f]{32}$")]
Takedown = Annotated[str, Path(pattern=r"^t[0-9a-f]{16}$")]
Version = Annotated[str, Query(pattern=_VERSION)]
Day = Annotated[str, Query(pattern=_DAY)]
RunPartition = Annotated[str, Query(max_length=250)]
Words = Annotated[str, Query(max_length=200)]
Name = Annotated[str, Query(max_length=200)]
Number = Annotated[int, Query(ge=-1, le=2**31 - 1)]
Similarity = Annotated[float, Query(ge=-1, le=1, allow_inf_nan=False)]
