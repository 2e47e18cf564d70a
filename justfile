# The command line, short. `just` alone lists the recipes.
set positional-arguments := true

# uv makes the locked environment on first use, also from within an activated one that has only uv
unexport VIRTUAL_ENV
export PYTHONPATH := justfile_directory()  # commands run where they are given, and so do paths count
python := "uv run --frozen --project '" + justfile_directory() + "' python -P"

_default:
    @just --list --unsorted

# replicate a study: just replicate camcan [experiment] [--raw DIR] [--set a.b=c] …
[no-cd, no-exit-message]
replicate *arguments:
    @{{ python }} -m papers replicate "$@"

# studies and experiments: what each needs and how long it takes
[no-cd, no-exit-message]
list *arguments:
    @{{ python }} -m papers list "$@"

# check and prepare a published data set: just data camcan --raw DIR
[no-cd, no-exit-message]
data *arguments:
    @{{ python }} -m papers data "$@"

# reported numbers against ours
[no-cd, no-exit-message]
compare *arguments:
    @{{ python }} -m papers compare "$@"

# regenerate committed results in a scratch folder and compare
[no-cd, no-exit-message]
verify *arguments:
    @{{ python }} -m papers verify "$@"

# a new study that runs: just new NAME
[no-cd, no-exit-message]
new *arguments:
    @{{ python }} -m papers new "$@"

# tables and figures again from the committed metrics
[no-cd, no-exit-message]
render *arguments:
    @{{ python }} -m papers render "$@"

# trained networks into the project, to be used right after cloning: just export lgg [experiment] [--seeds 0,1]
[no-cd, no-exit-message]
export *arguments:
    @{{ python }} -m papers export "$@"

# trained networks on your own scans: just predict lgg --input PATH --out DIR [--checkpoint PATH]
[no-cd, no-exit-message]
predict *arguments:
    @{{ python }} -m papers predict "$@"

# new images from a trained model: just sample rare --label pneumothorax --side left --count 20 --out DIR
[no-cd, no-exit-message]
sample *arguments:
    @{{ python }} -m papers sample "$@"

# an image again from its lineage, to the byte: just regenerate LINEAGE.json
[no-cd, no-exit-message]
regenerate *arguments:
    @{{ python }} -m papers regenerate "$@"

# pretrained weights: what is here; just weights --fetch [NAME], --verify, --add NAME PATH, --remove NAME
[no-cd, no-exit-message]
weights *arguments:
    @{{ python }} -m papers weights "$@"

# the review desk of rare_disease_controlnet: just desk [--demo] [--database URL] [--storage s3://…] | worker | …
[no-cd, no-exit-message]
desk *arguments:
    @{{ replace(python, "--frozen", "--frozen --extra desk") }} -m papers.rare_disease_controlnet.desk "$@"

# the locked environment with more: just install --extra cuda, or tpu, bm3d
install *arguments:
    @uv sync --frozen "$@"

# the tests: just test [pytest arguments]
test *arguments:
    @uv run --frozen --extra desk --group desk-tests pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"

# a short suite on Python 3.13 with the newest JAX of the lock, in an environment of its own
test-newest *arguments:
    #!/usr/bin/env bash
    set -euo pipefail
    export PYENV_VERSION=3.13  # pyenv shows uv no other version than the chosen one
    if ! python=$(uv python find --no-project --no-python-downloads 3.13 2>/dev/null); then
        echo "test-newest: skipped, there is no Python 3.13 here"
        exit 0
    fi
    export UV_PROJECT_ENVIRONMENT=.venv-newest
    uv run --frozen --python "$python" pytest "$@" \
        tests/common/test_conv.py tests/common/test_training.py tests/common/test_xla.py \
        tests/common/test_provenance.py \
        tests/suite/test_end_to_end.py::test_results_are_whole_and_get_no_verdict

# the linters
lint:
    uv run --frozen ruff check .
    uv run --frozen ruff format --check .
    uv run --frozen --extra desk --group desk-tests mypy
    uv run --frozen lint-imports
