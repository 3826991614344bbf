"""What the grounding gate knows of English: irregular forms, spellings, synonyms, and words that change a meaning.

Lists, and no rules. All of it was written for this project.
"""

from realsyn_ops.kinds import FUNCTION_WORDS

_IRREGULAR = """
arise arose arisen|awake awoke awoken|be being|bear bore borne born|beat beaten|become became|begin began begun
bend bent|bet|bind bound|bite bit bitten|bleed bled|blow blew blown|break broke broken|breed bred|bring brought
build built|burn burnt|burst|buy bought|cast|catch caught|choose chose chosen|cling clung|come came|cost
creep crept|cut|deal dealt|die dying|dig dug|draw drew drawn|dream dreamt|drink drank drunk|drive drove driven
dwell dwelt|eat ate eaten|fall fell fallen|feed fed|feel felt|fight fought|find found|flee fled|fly flew flown
forbid forbade forbidden|forget forgot forgotten|forgive forgave forgiven|freeze froze frozen|get got gotten
give gave given|go went gone|grind ground|grow grew grown|hang hung|hear heard|hide hid hidden|hit|hold held
hurt|keep kept|kneel knelt|knit|know knew known|lay laid|lead led|lean leant|leap leapt|learn learnt|leave left
lend lent|let|lie lay lain lying|light lit|lose lost|make made|mean meant|meet met|mow mown|pay paid|put|quit
read|ride rode ridden|ring rang rung|rise rose risen|run ran|saw sawn|say said|see saw seen|seek sought
sell sold|send sent|set|sew sewn|shake shook shaken|shear shorn|shed|shine shone|shoot shot|shrink shrank shrunk
shut|sing sang sung|sink sank sunk sunken|sit sat|sleep slept|slide slid|sling slung|sow sown|speak spoke spoken
speed sped|spell spelt|spend spent|spill spilt|spin spun|spit spat|split|spoil spoilt|spread
spring sprang sprung|stand stood|steal stole stolen|stick stuck|sting stung|stride strode|strike struck stricken
string strung|strive strove striven|swear swore sworn|sweep swept|swell swollen|swim swam swum|swing swung
take took taken|teach taught|tear tore torn|tell told|think thought|throw threw thrown|tie tying
tread trod trodden|understand understood|undergo underwent undergone|wake woke woken|wear wore worn
weave wove woven|weep wept|win won|wind wound|withdraw withdrew withdrawn|write wrote written|overlook
undertake undertook undertaken|rebuild rebuilt|man men|woman women|child children|person people|foot feet
tooth teeth|goose geese|mouse mice|louse lice|ox oxen|leaf leaves|loaf loaves|half halves|shelf shelves
wolf wolves|knife knives|wife wives|life lives|thief thieves|calf calves|hoof hooves|scarf scarves|elf elves
wharf wharves|cactus cacti|fungus fungi|larva larvae|nucleus nuclei|radius radii|alga algae|antenna antennae
vertebra vertebrae|datum data|bacterium bacteria|medium media|stratum strata|analysis analyses|basis bases
axis axes|crisis crises|oasis oases|thesis theses|index indices|vertex vertices|matrix matrices|penny pence
die dice|oneself|bus buses|gas gases|lens lenses|quiz quizzes|species|series|sheep|deer|big bigger biggest
good better best|bad worse worst|far farther farthest further furthest
"""

_SPELLINGS = """
color colour|gray grey|tire tyre|plow plough|mold mould|molt moult|draft draught|curb kerb|pajamas pyjamas
jewelry jewellery|airplane aeroplane|aluminum aluminium|cozy cosy|check cheque|story storey|skeptic sceptic
mustache moustache|mom mum|program programme|catalog catalogue|dialog dialogue|ax axe|donut doughnut
yogurt yoghurt|omelet omelette|license licence|defense defence|offense offence|practice practise|whiskey whisky
marvelous marvellous|woolen woollen|fulfill fulfil|kilometer km kilometre|meter metre|centimeter cm centimetre
millimeter mm millimetre|kilogram kg kilogramme|gram g gramme|liter litre|milliliter ml millilitre|mile mi
pound lb lbs gbp|ounce oz|foot ft|inch in.|hour hr hrs|minute min mins|dollar usd|euro eur|percent pct|okay ok
photo photograph|television tv|number no.|mount mt|street st|saint st|doctor dr|professor prof
"""

_SYNONYMS = """
picture photo image snapshot shot|child kid youngster|infant baby|person human individual|man guy gentleman
woman lady|car automobile|truck lorry|airplane plane aircraft|boat vessel|ship vessel|bicycle bike
motorcycle motorbike|train railway|house home dwelling|apartment flat|shop store|street road|sidewalk pavement
garbage trash rubbish|autumn fall|vacation holiday|sofa couch|stove cooker|faucet tap|pan skillet|cup mug
purse handbag|trousers pants|sneaker trainer|sweater jumper pullover|big large|small little tiny
huge enormous gigantic|fast quick rapid|begin start commence|end finish conclude|build construct
make create produce manufacture|buy purchase|sell vend|use utilize employ|get obtain receive|help assist aid
show display exhibit|need require|try attempt|allow permit|forbid prohibit ban|fix repair mend
choose select pick|collect gather|contain hold include|cover coat|wash clean|rich wealthy|sick ill
near close nearby|below under beneath underneath|above over atop|inside within in|until till|during throughout
before prior|after following|behind back|beautiful pretty lovely|famous renowned|old ancient|rabbit bunny
dog hound|cat feline|bird fowl|horse pony|cow cattle|forest wood woodland|sea ocean|shore coast|hill mound
stone rock|soil earth ground|beach sand seaside|sun sunshine|film movie|game match|football soccer|maize corn
shrub bush|author writer|doctor physician|teacher instructor|worker employee|town city|country nation|work job
reply answer|shut close|live reside|speak talk|happen occur|buyer customer|visit tour
roughly about approximately around|almost nearly|yearly annual annually|price cost|according say|daily everyday
weekly week
also too|famous known|consist comprise|locate situate|own possess
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _groups(text: str) -> list[list[str]]:
    return [group.split() for line in text.strip().splitlines() for group in line.split("|")]


def _bases(*texts: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for group in (group for text in texts for group in _groups(text)):
        for form in group[1:]:
            found.setdefault(form, []).append(group[0])
    return {form: tuple(dict.fromkeys(bases)) for form, bases in found.items()}


def _neighbours(text: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _groups(text):
        for word in group:
            found.setdefault(word, set()).update(group)
    return {word: frozenset(words - {word}) for word, words in found.items()}


BASES = _bases(_IRREGULAR, _SPELLINGS)
"""Irregular form or other spelling -> the words it may be a form of."""

SYNONYMS = _neighbours(_SYNONYMS)
"""Word -> words that may stand for it; as many a text as the synonym allowance says."""

PLACES = _words("above below beneath underneath under behind inside outside during until")
"""Words of grammar that are facts all the same: they need a source."""

OPPOSITES = {"before": "after", "after": "before"}
"""Words of grammar that may be added, but not where the sources have the opposite alone."""

GRAMMAR = FUNCTION_WORDS - PLACES

LIGHT = _words(
    "stand sit lie rest take give get belong feature include hold accompany appear depict see according come "
    "go call name know keep become serve"
)
"""Verbs that say little more than 'is' or 'has': they count like synonyms."""

AUXILIARIES = _words("has have had having do does did will would can could shall should may might must also then once")
"""Of the active voice: what stands between a name and what it does."""

NEGATIONS = _words("not no never none nobody nothing nowhere neither nor without cannot non unlike except excluding")
ALMOST_NEVER = _words("hardly barely rarely seldom scarcely")
DOUBTS = _words("may might perhaps possibly probably maybe reportedly allegedly supposedly")
DOUBT_VERBS = _words("expect believe suspect suppose allege predict assume speculate")
HEDGES = _words("thought believed said supposed expected planned rumored rumoured alleged reported likely estimated")
"""Doubts where 'to' follows: 'is thought to be'."""

THROUGH = _words("longer more any yet even quite very always really actually all ever")
"""Words that a negation or doubt reaches over: 'no longer used' denies the use."""

AND_OR = _words("and or but nor while whereas although though because if when so")
ORDERED = _words("before after because than")
"""Words whose two sides must not be exchanged."""

PRONOUNS = (_words("he him his himself"), _words("she her hers herself"))
MORE, LESS = _words("over above exceeding least"), _words("under below almost nearly most to less fewer")
"""What may stand before a number and make it a bound: 'over 200', 'at least', 'up to', 'less than'."""

PREPOSITIONS = _words("by in on at of for from to with into onto as than through across along between near off over")
BE = _words("am is are was were be been being")
PERSONS = {"i": "i", "me": "i", "we": "we", "us": "we", "he": "he", "him": "he", "they": "they", "them": "they"}

ATTRIBUTES = _words(
    "red orange yellow green blue purple violet pink brown black white gray golden silver wooden metal "
    "plastic glass leather small large big tiny huge tall short long low high old new young round square left "
    "right upper lower northern southern eastern western"
)
"""Words whose noun is checked: a red bus on a street is no red street."""

MONTHS = _words(
    "january february march april may june july august september october november december jan feb mar apr "
    "jun jul aug sep sept oct nov dec"
)
PICTURE = _words("photo picture image")
