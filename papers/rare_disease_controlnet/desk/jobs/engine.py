"""The study's engine as workers use it: loaded when the first film is asked for, and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import numpy as np
from jaxtyping import Float

from common.errors import InputError
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.known import Known, known, version
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import Drawn, Watch
from papers.rare_disease_controlnet.engine.drawing import Gray, Request, draw
from papers.rare_disease_controlnet.engine.maker import Maker
from papers.rare_disease_controlnet.sample import maker_of

PREVIEWS = 12  # of a film, about


@dataclass
class StudyEngine:
    """The engine of the run that the desk's settings name, or that was trained last."""

    desk: Desk
    _maker: Maker | None = None
    _version: Any = None
    _training: dict[Any, Any] = field(default_factory=dict)

    def is_ready(self) -> bool:
        """Return whether an engine is trained."""
        return known(self.desk) is not None

    def draw(self, asked: Asked, number: int, watch: Watch) -> Drawn:
        """Return the film of this number, its estimates seen by `watch` on the way.

        Films are drawn one at a time, so that each can be seen, and stopped, as it comes about.

        Raises:
            InputError: what is asked for was never learned, or its structure is missing.
        """
        engine = self._engine()
        engine.check(asked)
        config = drawing(engine.config, asked)
        maker = replace(self._loaded(engine), config=config)
        request = self._request(asked, number, config)

        def seen(_: int, step: int, images: Float[np.ndarray, "1 height width 3"]) -> None:
            watch(step, np.rint(255 * images[0].mean(-1)).astype(np.uint8))

        (film,) = draw(
            maker.pipeline,
            config,
            [request],
            prompt=asked.prompt,
            chunk=max(1, round(asked.steps / PREVIEWS)),
            on_preview=seen,
        )
        content = png.encoded(film)
        lineage = maker.lineage(request, content, asked.prompt)
        platform = maker.platform
        return Drawn(content, lineage, engine.work(asked), platform.device or platform.backend)

    def compare(self, films: Sequence[str]) -> None:
        """Compare films with those that the engine learned from, where these are there."""
        from papers.rare_disease_controlnet.desk.release import likeness

        engine = self._engine()
        now = version(engine.trained)
        if now not in self._training:
            self._training = {now: likeness.training_of(engine.trained)}
        likeness.note(self.desk, self._training[now], films)

    def rest(self, worker: str, stopped: Callable[[], bool]) -> bool:
        """Compare films that were not compared yet, or train classifiers if somebody asked."""
        from papers.rare_disease_controlnet.desk.release import retraining

        return retraining.work_once(self.desk, worker, stopped=stopped)

    def _engine(self) -> Known:
        if (engine := known(self.desk)) is None:
            raise InputError("engine: none is trained here; train one, then try again")
        return engine

    def _loaded(self, engine: Known) -> Maker:
        """Return the engine as it was loaded, loaded anew when it was trained anew."""
        now = version(engine.trained)
        if self._maker is None or self._version != now:
            self._maker = None  # so that there is never room needed for two
            config = engine.config
            self._maker = maker_of(engine.trained, config, config.arms.main)
            self._version = now
        return self._maker

    def _request(self, asked: Asked, number: int, config: Config) -> Request:
        """Return a film as it is asked for, the film that it follows at the engine's size."""
        followed: Gray | None = None
        if asked.structure is not None:
            content = self.desk.store.get(asked.structure)
            followed = png.decoded(content, f"structure {asked.structure}")
            size = config.data.size
            if followed.shape != (size, size):
                followed = gray_film.resized(gray_film.square(followed), size)
                self.desk.store.put(png.encoded(followed))  # which the lineage names
        return Request(
            asked.findings,
            asked.side,
            nan if asked.extent is None else asked.extent,
            asked.seed + number,
            structure=followed if asked.control == "canny" else None,
            depth=followed if asked.control == "depth" else None,
        )


def drawing(config: Config, asked: Asked) -> Config:
    """Return the study's config with which the engine draws what is asked for, alone in a batch."""
    names = ("negative", "guidance", "steps", "sampler", "canny_low", "canny_high")
    told: dict[str, Any] = {name: getattr(asked, name) for name in names}
    told |= {"control": asked.strength, "batch_size": 1}
    return replace(config, synthesis=replace(config.synthesis, **told))
