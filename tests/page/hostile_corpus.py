"""Two days through the Dags' own tasks whose titles, texts, addresses, file names and alt texts are attacks."""

import html
import io
import zipfile

import pyarrow as pa

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.operators import takedown_corpus as made
from tests.operators.release_corpus import picture

ATTACKS = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload=alert(1)>',
    "'-alert(1)-'{{7*7}}",
    "javascript:alert(1)//",
    "</textarea></script><iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
)


def attacked_sentence(day: int, page: int, text: str) -> str:
    attack = ATTACKS[(day * made.N_PAGES + page) % len(ATTACKS)]
    return f"{text[:-1]} beside {attack} and stayed."


def put_attacks(bucket: Bucket, day: int) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        for page in range(made.N_PAGES):
            number = day * made.N_PAGES + page
            attack = html.escape(ATTACKS[number % len(ATTACKS)])
            texts = [attacked_sentence(day, page, text) for text in made.sentences_of(day, page)]
            text = "".join(f"<p>{html.escape(one)}</p>" for one in texts)
            head = f"<title>{attack}</title>"
            body = f"{head}{text}<img src='{number}.jpg' alt='{attack}'>"
            bundle.writestr(zipfile.ZipInfo(f"{number} <img src=x onerror=alert({number})>.html"), body)
            bundle.writestr(zipfile.ZipInfo(f"{number}.jpg"), picture(number))
    bucket.put(f"raw/{made.DAYS[day]}/site/pages.zip", content.getvalue())


def give_addresses(bucket: Bucket) -> None:
    """Loose pages have no address: each document gets one that is an attack."""
    corpus = Corpus(bucket)

    def edit(table: pa.Table) -> pa.Table:
        number = [int(record.split()[0]) % len(ATTACKS) for record in table["record"].to_pylist()]
        urls = pa.array([f"https://example.org/?q={ATTACKS[n]}" for n in number], pa.string())
        return table.set_column(table.column_names.index("url"), "url", urls) if "url" in table.column_names else table

    corpus.rewrite("documents", edit, needs=["record"], days=corpus.days("documents"))
