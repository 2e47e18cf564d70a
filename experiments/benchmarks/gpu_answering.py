"""What both sides of `experiments.benchmarks.gpu` do to answer it; the standard library alone."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

LONGEST = 300  # characters of a reason


def serve(actions: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Do what each line of standard input names, a JSON list of an action and its arguments.

    Each answer is one line, a JSON object: what the action returned and its `seconds`, or `error`.
    An action that fails does not end the program. What libraries print goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with redirect_stdout(sys.stderr):
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            start = time.perf_counter()
            try:
                answer = {"seconds": None, **actions[name](*arguments)}
                answer["seconds"] = answer["seconds"] or time.perf_counter() - start
            except Exception as error:  # out of memory, no kernel, no library: the row's reason
                answer = {"error": reason(error)}
            print(json.dumps(answer), file=answers, flush=True)


def reason(error: Exception) -> str:
    """Return an error as one line."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} …"
