"""What a synthetic film costs beside a real one: a model with stated inputs, not a measurement.

A real film costs the hours of a physician who finds, clears, reads and annotates it. A synthetic
one that is of use costs the machine's time to draw it and the physician's to review it, both as
often as it takes until one is accepted, and its share of what the engine took: its training, and
the real films of the rare class that it learned from. Neither storage nor software is counted, nor
what a wrong film does. It saves 1 - synthetic / (worth · real), `worth` being how many real films
one synthetic film stands for; where classifiers gain nothing by them, that is none, and nothing is
saved at any price.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """The inputs, all of them assumptions; the defaults are an example and nobody's price list."""

    real_hours: float | int = 0.25  # of a physician, a real film
    physician: float | int = 100.0  # an hour, in any currency
    gpu_seconds: float | int = 5.0  # a film that is drawn
    gpu: float | int = 2.0  # an hour
    review_seconds: float | int = 20.0  # of a physician, a film that is drawn
    accepted: float | int = 0.5  # share of the films drawn, above 0
    training_hours: float | int = 20.0  # of the GPU
    rare_films: int = 24  # real ones that the engine learns from
    films: int = 1000  # accepted synthetic films that share the engine's cost

    @property
    def real(self) -> float:
        """The cost of a real film."""
        return self.real_hours * self.physician

    @property
    def synthetic(self) -> float:
        """The cost of an accepted synthetic film."""
        drawn = (self.gpu_seconds * self.gpu + self.review_seconds * self.physician) / 3600
        engine = self.training_hours * self.gpu + self.rare_films * self.real
        return drawn / self.accepted + engine / self.films


def saving(costs: Costs, worth: float | int = 1.0) -> float:
    """Return the share that is saved where one synthetic film stands for `worth` real ones."""
    return 1 - costs.synthetic / (worth * costs.real)


def least_worth(costs: Costs, share: float | int = 0.8) -> float:
    """Return how many real films a synthetic one must stand for at least, to save this share."""
    return costs.synthetic / ((1 - share) * costs.real)
