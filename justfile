# The command line, short. `just` alone lists the recipes.
set positional-arguments := true

# runs in the locked environment, which uv makes on first use
python := "uv run --frozen python"

_default:
    @just --list --unsorted

# replicate a study: just replicate camcan [experiment] [--raw DIR] [--set a.b=c] …
replicate *arguments:
    @{{ python }} -m papers replicate "$@"

# studies and experiments: what each needs and how long it takes
list *arguments:
    @{{ python }} -m papers list "$@"

# check and prepare a published data set: just data camcan --raw DIR
data *arguments:
    @{{ python }} -m papers data "$@"

# reported numbers against ours
compare *arguments:
    @{{ python }} -m papers compare "$@"

# regenerate committed results in a scratch folder and compare
verify *arguments:
    @{{ python }} -m papers verify "$@"

# tables and figures again from the committed metrics
render *arguments:
    @{{ python }} -m papers render "$@"

# trained networks on your own scans: just predict lgg --checkpoint DIR --input PATH --out DIR
predict *arguments:
    @{{ python }} -m papers predict "$@"

# pretrained weights: what is here; just weights --fetch [NAME], --verify
weights *arguments:
    @{{ python }} -m papers weights "$@"

# the tests: just test [pytest arguments]
test *arguments:
    @uv run --frozen pytest "$@"

# the linters
lint:
    uv run --frozen ruff check .
    uv run --frozen ruff format --check .
    uv run --frozen mypy
    uv run --frozen lint-imports
