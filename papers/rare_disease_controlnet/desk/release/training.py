"""The process that trains classifiers with a snapshot: started, watched and ended by a worker.

python -m papers.rare_disease_controlnet.desk.release.training CHECKPOINT CONTENT

It says what it is at on the standard error output, a line each, and what came of it as JSON on the
other. It ends with its parent, by whatever means that ends; what it has trained until then is
there for the next one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from common import terminal
from common.errors import UserError
from common.pipeline.process import prepare_process

PENDING = "pending"  # begins the line that says how much there is to do


def main(checkpoint: str, content: str) -> int:
    """Train, evaluate, and say what came of it; return the exit status."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare_process()
    try:
        print(json.dumps(train(Path(checkpoint), content)))
    except UserError as error:
        terminal.refuse(error)
        return error.status
    return 0


def train(checkpoint: Path, content: str) -> object:
    """Run the study with the films of a snapshot; return what `results.summary` makes of it."""
    from common.pipeline import stages, units
    from common.pipeline.evaluations import Evaluating
    from common.pipeline.trained import find
    from papers.rare_disease_controlnet.config import Config
    from papers.rare_disease_controlnet.desk.release import engine_run, results

    trained = find(checkpoint, engine_run.STUDY.name, Config())
    run = engine_run.run_of(trained, content)
    prepared = stages.prepare(run)
    items: list[units.Item] = [
        *units.trainings(run, prepared),
        *(Evaluating(run, prepared, seed) for seed in run.seeds),
    ]
    print(PENDING, sum(not item.is_done() for item in items), file=sys.stderr, flush=True)
    stages.execute(run)
    return results.summary(run.out, engine_run.seed_of(trained))


def _end_with_parent() -> None:
    """End this process when the pipe that its parent holds is closed."""
    while os.read(0, 1):  # not by a buffer, whose lock would be held when the program ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
