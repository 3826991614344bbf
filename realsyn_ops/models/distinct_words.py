"""spaCy's word embedding computed once for each distinct word of a batch instead of once for each place it stands."""

from typing import TYPE_CHECKING, Any

import numpy as np
from thinc.api import Model
from thinc.types import Ragged

if TYPE_CHECKING:
    from spacy.tokens import Doc


def embed_distinct_words(tok2vec: Model) -> bool:
    """Put it in front of a tok2vec model; False, and nothing done, when its embedding is not spaCy's MultiHashEmbed.

    The embedding looks at a word alone and thinc's products are computed row by row: not a bit of the result changes.
    """
    if not tok2vec.has_ref("embed") or tok2vec.layers[0] is not tok2vec.get_ref("embed"):
        return False
    layers = tok2vec.layers[0].layers
    names = [layer.name.partition("(")[0] for layer in layers]
    if names != ["extract_features", "list2ragged", "with_array", "with_array", "ragged2list"]:
        return False
    tok2vec.layers[0] = Model("embed_distinct_words", _forward, layers=layers)
    return True


def _forward(model: Model, docs: "list[Doc]", is_train: bool) -> tuple[list[np.ndarray], Any]:
    extract, _, hashed, mixed, _ = model.layers
    features = extract.predict(docs)
    words: Any = np.concatenate(features)
    rows = np.ascontiguousarray(words).view(np.dtype((np.void, words.dtype.itemsize * words.shape[1])))
    _, first, place = np.unique(rows[:, 0], return_index=True, return_inverse=True)
    distinct = Ragged(words[first], model.ops.asarray1i([len(first)]))
    vectors = mixed.predict(hashed.predict(distinct)).dataXd[place]
    return np.split(vectors, np.cumsum([len(array) for array in features])[:-1]), lambda gradient: []
