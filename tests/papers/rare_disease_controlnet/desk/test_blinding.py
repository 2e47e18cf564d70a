"""Blinding: whatever a reader gets, nothing but the pixels tells where a film comes from."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import io
import re
import struct
import time
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.reading import opening
from papers.rare_disease_controlnet.desk.reading.blinding import reads
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import SetItem, User
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.desk.made_up_sets import a_key, quality

FILMS = 80  # of each kind, for the classifier that looks for leaks
CHANCE = 0.001  # that it finds one where there is none


@dataclass(frozen=True)
class Seen:
    """An answer of the desk, as a reader may keep it."""

    path: str
    headers: dict[str, str]
    content: bytes
    seconds: float

    @property
    def whole(self):
        told = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.path}\n{told}\n".encode() + self.content


class Watcher:
    """A reader who keeps everything."""

    def __init__(self, desk, name="rosalind"):
        self.here, self.seen = browser(desk, name, "reviewer"), []

    def get(self, path):
        begun = time.perf_counter()
        return self._keep(path, self.here.get(path), begun)

    def post(self, path, form):
        begun = time.perf_counter()
        return self._keep(path, self.here.post(path, form), begun)

    def _keep(self, path, answer, begun):
        seconds = time.perf_counter() - begun
        self.seen.append(Seen(path, dict(answer.headers), answer.content, seconds))
        return self.seen[-1]


def whole_reading(watcher, one, shown):
    """Read a set to its end, looking at every page on the way; return the pages of each film."""
    pages = {}
    watcher.get("/")
    watcher.get("/reading")
    watcher.get(f"/reading/{one}")
    for number, item in enumerate(shown):
        place = f"/reading/{one}?place={item.place}"
        name = f"/reading/film/{item.token}"
        mine = [watcher.get(place), watcher.get(name)]
        watcher.post(f"{name}/draft", {"comment": "hm"})
        watcher.post(f"{name}/quality", quality(a_key(3 * number)))
        mine.append(watcher.get(place))
        watcher.post(f"{name}/origin", {"key": a_key(3 * number + 1), "origin": "5"})
        mine.append(watcher.get(place))
        pages[item] = mine
    watcher.post(f"/reading/{one}/undo", {"key": a_key(10**6)})
    watcher.post(f"/reading/film/{'x' * 43}/quality", quality(a_key(10**6 + 1)))
    for path in (f"/reading/{one}", "/sets", f"/sets/{one}", f"/sets/{one}/films/1", "/jobs"):
        watcher.get(path)
    return pages


def forbidden(desk):
    """Return what would tell where a film comes from, or lead to it."""
    words = [made.PROMPT, made.LABEL, made.NORMAL, made.ARTIST, "brought-", "film_id", "seed"]
    with desk.read() as session:
        films = session.scalars(select(Film)).all()
        items = session.scalars(select(SetItem)).all()
    words += [str(film.seed) for film in films] + [film.sha256 for film in films]
    words += [item.source for item in items] + [item.shown for item in items]
    return sorted({*words})


def found(desk, seen):
    return [
        (one.path, word) for one in seen for word in forbidden(desk) if word.encode() in one.whole
    ]


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def test_no_answer_of_a_whole_reading_holds_what_is_hidden(desk):
    one = made.opened(desk, ("rosalind",), 8, 8, repeats=0.25)
    watcher = Watcher(desk)
    whole_reading(watcher, one, made.shown_to(desk, "rosalind"))
    assert len(watcher.seen) > 8 * 16
    assert found(desk, watcher.seen) == []
    with desk.write() as session:
        opening.close_set(session, "maker", one, Limits())
    watcher.get(f"/reading/{one}?place=0")
    assert found(desk, watcher.seen[-1:])  # the search does find, and now it may be told


def test_pages_of_real_synthetic_and_repeated_films_are_alike(desk):
    one = made.opened(desk, ("rosalind",), 8, 8, repeats=0.25)
    shown = made.shown_to(desk, "rosalind")
    pages = whole_reading(Watcher(desk), one, shown)
    inner = [item for item in shown if item is not shown[0]]
    assert {item.kind for item in inner} == {"real", "synthetic"}
    assert {item.repeat for item in inner} == {True, False}
    for step in (0, 2, 3):
        texts = {without_names(pages[item][step].content.decode(), shown) for item in inner[:-1]}
        assert len(texts) == 1, step


def without_names(text, shown):
    """Return a page without what differs from place to place: names, keys, numbers."""
    for item in shown:
        text = text.replace(item.token, "TOKEN")
    text = re.sub(r'name="(key|rendered|seconds)" value="[^"]*"', r'name="\1"', text)
    return re.sub(r"\d+", "0", text)


def test_files_differ_in_nothing_but_pixels(desk):
    made.opened(desk, ("rosalind",), 8, 8)
    watcher = Watcher(desk)
    kinds = {}
    for item in made.shown_to(desk, "rosalind"):
        answer = watcher.get(f"/reading/film/{item.token}")
        headers = {name: text.replace(item.token, "TOKEN") for name, text in answer.headers.items()}
        kinds.setdefault(item.kind, []).append((tuple(sorted(headers.items())), chunks(answer)))
        assert answer.headers["etag"] == f'"{item.token}"'
        assert "last-modified" not in answer.headers
    assert len({*kinds["real"], *kinds["synthetic"]}) == 1


def chunks(answer):
    """Return kinds and lengths of the parts of a PNG file, and the whole header."""
    content, at, parts = answer.content, 8, [answer.content[:33]]
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        parts.append((kind, length))
        at += 12 + length
    assert [kind for kind, _ in parts[1:]] == [b"IHDR", b"IDAT", b"IEND"]
    return tuple(parts)


def test_a_film_that_the_browser_has_is_not_sent_again(desk):
    made.opened(desk)
    here = browser(desk, "rosalind", "reviewer")
    path = f"/reading/film/{made.shown_to(desk, 'rosalind')[0].token}"
    tag = here.get(path).headers["etag"]
    again = here.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_no_classifier_tells_films_apart_by_what_surrounds_the_pixels(desk):
    one = made.opened(desk, ("rosalind",), FILMS, FILMS)
    watcher, shown = Watcher(desk), made.shown_to(desk, "rosalind")
    orders = [np.random.default_rng(turn).permutation(len(shown)) for turn in range(2)]
    films = [[watcher.get(f"/reading/film/{shown[i].token}") for i in order] for order in orders]
    times = np.mean([by_place(order, seen) for order, seen in zip(orders, films, strict=True)], 0)
    last = {int(i): seen for i, seen in zip(orders[-1], films[-1], strict=True)}
    pages = pages_of(watcher, one, shown)
    told = [
        [
            *surroundings(last[item.place], item),
            float(np.argsort(np.argsort(times))[item.place]),
            len(pages[item.place].content),
            pages[item.place].seconds,
            item.place,
        ]
        for item in shown
    ]
    synthetic = np.array([item.kind == "synthetic" for item in shown])
    low, high = auc_interval(np.array(told, float), synthetic)
    assert low <= 0.5 <= high, (low, high)


def test_the_classifier_would_notice_what_compressed_files_tell():
    rng = np.random.default_rng(0)
    smooth = [np.repeat(rng.integers(0, 256, (16, 4), np.uint8), 4, 1) for _ in range(FILMS)]
    noisy = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(FILMS)]
    kinds = np.repeat([True, False], FILMS)

    def compressed(image):
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        return content.getvalue()

    lengths = {
        "compressed": [[float(len(compressed(image)))] for image in (*smooth, *noisy)],
        "as shown": [[float(len(png.encoded(image)))] for image in (*smooth, *noisy)],
    }
    assert auc_interval(np.array(lengths["compressed"]), kinds)[0] > 0.5
    low, high = auc_interval(np.array(lengths["as shown"]), kinds)
    assert low <= 0.5 <= high


def by_place(order, seen):
    """Return how long each film took, by its place."""
    times = np.empty(len(order))
    times[order] = [one.seconds for one in seen]
    return times


def pages_of(watcher, one, shown):
    """Return the page of each place, as it is when the reader comes to it."""
    pages = []
    for number, item in enumerate(shown):
        pages.append(watcher.get(f"/reading/{one}?place={item.place}"))
        name = f"/reading/film/{item.token}"
        watcher.post(f"{name}/quality", quality(a_key(2 * number)))
        watcher.post(f"{name}/origin", {"key": a_key(2 * number + 1), "origin": "3"})
    return pages


def surroundings(seen, item):
    """Return numbers of all that comes with a film: address, headers, lengths, chunks."""
    name = np.array([ord(letter) for letter in item.token], float)
    headers = [float(len(value)) for _, value in sorted(seen.headers.items())]
    parts = [float(length) for _, length in chunks(seen)[1:]]
    return [*name[:12], name.mean(), name.std(), *headers, *parts, float(len(seen.content))]


def auc_interval(told, synthetic):
    """Return where the area under the curve of a logistic regression lies, cross-validated."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    given = cross_val_predict(model, told, synthetic, cv=folds, method="decision_function")
    auc = roc_auc_score(synthetic, given)
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)  # Hanley and McNeil
    count = synthetic.sum()
    rest = (count - 1) * (first + second - 2 * auc**2)
    error = np.sqrt(max(auc * (1 - auc) + rest, 0)) / count
    half = norm.isf(CHANCE / 2) * error
    return auc - half, auc + half


def test_who_reads_is_known_until_the_set_is_closed(desk):
    one = made.opened(desk)
    with desk.write() as session:
        reader = session.scalars(select(User).where(User.name == "rosalind")).one()
        maker = session.scalars(select(User).where(User.name == "maker")).one()
        assert reads(session, reader.id)
        assert reads(session, reader.id, one)
        assert not reads(session, reader.id, one + 1)
        assert not reads(session, maker.id)
        opening.close_set(session, "maker", one, Limits())
        assert not reads(session, reader.id)
