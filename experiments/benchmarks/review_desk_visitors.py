"""People who use the review desk at the same time, and how long every answer took them."""

import random
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx2

from experiments.benchmarks.review_desk_content import Content, Person
from papers.rare_disease_controlnet.desk.access import FORM_TOKEN
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE

READING = (0.5, 2.5)  # seconds between two clicks of a reader, who is in a hurry
LOOKING = (1.0, 3.0)  # of a researcher
_FILM = re.compile(r'data-film="([^"]+)"')
_ACTION = re.compile(r'class="answer" method="post" action="([^"]+)"')
_KEY = re.compile(r'name="key" value="([^"]+)"')
_TIMEOUT = 30


@dataclass
class Told:
    """What was measured: milliseconds by what was asked for, what went wrong, and answers given."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    given: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by reader
    counts: bool = False  # whether milliseconds are noted


@dataclass
class Visitor:
    """Somebody's browser."""

    person: Person
    client: httpx2.Client
    told: Told
    stop: threading.Event
    chance: random.Random

    def ask(self, what: str, path: str, form: dict[str, Any] | None = None) -> httpx2.Response:
        """Ask for a page, or send a form; measure it under a name, once all are there."""
        headers = {"cookie": f"{COOKIE}={self.person.cookie}", "accept": "text/html"}
        begun = time.perf_counter()
        if form is None:
            answer = self.client.get(path, headers=headers)
        else:
            told = form | {FORM_TOKEN: self.person.form_token}
            headers["sec-fetch-site"] = "same-origin"
            answer = self.client.post(path, data=told, headers=headers)
        if self.told.counts:
            self.told.milliseconds[what].append(1000 * (time.perf_counter() - begun))
        if answer.status_code not in (200, 204, 303):
            self.told.wrong.append(f"{answer.status_code} {what} {path}: {answer.text[:200]}")
        return answer

    def think(self, bounds: tuple[float, float]) -> None:
        """Do nothing for a while."""
        self.stop.wait(self.chance.uniform(*bounds))


def read(visitor: Visitor, set_id: int) -> None:
    """Read a set from the first film on: look, fill in, submit, guess, next."""
    address = f"/reading/{set_id}?place=0"
    while not visitor.stop.is_set():
        page = visitor.ask("reading: next film", address).text
        if not (action := _ACTION.search(page)):
            return  # all are read
        film = _FILM.search(page)
        assert film is not None
        visitor.ask("reading: its picture", film[1])
        visitor.think(READING)
        said = {"quality": "legitimate", "score": "4", "seconds": "3", "comment": "as it should be"}
        visitor.ask("reading: draft", action[1].replace("quality", "draft"), said)
        visitor.think(READING)
        judged = visitor.ask("reading: submit", action[1], said | {"key": _key(page)})
        page = visitor.ask("reading: next question", judged.headers["location"]).text
        visitor.think(READING)
        form = {"key": _key(page), "origin": "2"}
        action = _ACTION.search(page)
        assert action is not None
        guessed = visitor.ask("reading: submit", action[1], form)
        visitor.told.given[visitor.person.name] += guessed.status_code == 303
        address = guessed.headers["location"]


def look_around(visitor: Visitor, content: Content) -> None:
    """Look at what researchers look at, and ask for films now and then."""
    pages = {
        "queue": lambda: "/jobs",
        "a job": lambda: f"/jobs/{visitor.chance.choice(content.jobs)}",
        "ask for films": lambda: "/jobs/new",
        "sets": lambda: "/sets",
        "a set": lambda: f"/sets/{content.set_id}",
        "corpus": lambda: "/corpus?state=undecided",
        "a film": lambda: f"/corpus/films/{visitor.chance.choice(content.films)}",
        "its picture": lambda: f"/films/{visitor.chance.choice(content.films)}",
        "impact": lambda: "/impact",
    }
    while not visitor.stop.is_set():
        name = visitor.chance.choice(list(pages))
        visitor.ask(name, pages[name]())
        if visitor.chance.random() < 0.1:
            job = visitor.chance.choice(content.jobs)
            visitor.ask("vary a job", f"/jobs/{job}/vary", {"count": "1"})
        visitor.think(LOOKING)


def administer(visitor: Visitor) -> None:
    """Look at people and the log."""
    while not visitor.stop.is_set():
        visitor.ask("people", "/people")
        visitor.think(LOOKING)
        visitor.ask("log, a part", "/audit?action=set+opened")
        visitor.think(LOOKING)
        visitor.ask("log, checked", "/audit")
        visitor.think((5.0, 10.0))


def watch(visitor: Visitor) -> None:
    """Watch a job that runs or waits until it has ended, as an open tab does; then another."""
    headers = {"cookie": f"{COOKIE}={visitor.person.cookie}"}
    while not visitor.stop.is_set():
        queue = visitor.ask("queue", "/jobs").text.partition('id="ended"')[0]
        if jobs := re.findall(r'data-job="(\d+)"', queue):
            address = f"/jobs/{visitor.chance.choice(jobs)}/events"
            try:
                with visitor.client.stream("GET", address, headers=headers) as answer:
                    for line in answer.iter_lines():
                        if visitor.stop.is_set() or "event: end" in line:
                            break
            except httpx2.TimeoutException:  # nothing was told for long, as where a job waits
                continue
        visitor.think(LOOKING)


def visit(home: str, content: Content, arriving: float, seconds: float) -> Told:
    """Let everybody use the desk for a while; return what they met.

    What they wait while all are `arriving` at once, before a process that has just started, does
    not count, nor what they are still doing when the time is over.
    """
    told, stop = Told(), threading.Event()
    limits = httpx2.Limits(max_connections=None)

    def go(number: int, person: Person, what: Any, *more: Any) -> None:
        with httpx2.Client(base_url=home, timeout=_TIMEOUT, limits=limits) as client:
            visitor = Visitor(person, client, told, stop, random.Random(number))
            visitor.think((0, READING[1]))
            try:
                what(visitor, *more)
            except Exception as error:
                if not stop.is_set():
                    told.wrong.append(f"{person.name}: {error!r}")

    tasks: list[tuple[Any, ...]] = [(one, read, content.set_id) for one in content.readers]
    tasks += [(one, look_around, content) for one in content.researchers]
    tasks += [(one, watch) for one in content.researchers]
    tasks += [(content.admin, administer)]
    threads = [
        threading.Thread(target=go, args=(number, *task), daemon=True)
        for number, task in enumerate(tasks)
    ]
    for thread in threads:
        thread.start()
    stop.wait(arriving)
    told.counts = True
    stop.wait(seconds)
    told.counts = False
    stop.set()
    for thread in threads:
        thread.join(_TIMEOUT)
    return told


def _key(page: str) -> str:
    """Return the key of a page's form."""
    found = _KEY.search(page)
    assert found is not None
    return found[1]
