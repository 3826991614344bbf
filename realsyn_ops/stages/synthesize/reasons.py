"""Why an answer is refused."""

from enum import StrEnum


class GroundingReason(StrEnum):
    """In the order the rules are tried; the last is of a set of texts (`openings`)."""

    EMPTY = "empty"
    SELF_REMARK = "self_remark"
    INSTRUCTION = "instruction"
    NOT_ONE_SENTENCE = "not_one_sentence"
    CUT = "cut"
    TOO_LONG = "too_long"
    REPETITION = "repetition"
    UNGROUNDED_NUMBER = "ungrounded_number"
    UNGROUNDED_NAME = "ungrounded_name"
    UNGROUNDED_WORD = "ungrounded_word"
    COPIES_REALISTIC_TEXT = "copies_realistic_text"
    COPIES_CAPTION = "copies_caption"
    CONCATENATION = "concatenation"
    UNGROUNDED_NEGATION = "ungrounded_negation"
    DROPS_NEGATION = "drops_negation"
    DROPS_DOUBT = "drops_doubt"
    EXCHANGED = "exchanged"
    DROPS_TEXT = "drops_text"
    BOILERPLATE = "boilerplate"
