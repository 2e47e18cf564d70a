"""What readings say: detection, quality, agreement, each with an interval, in words and numbers.

Pure functions first: `rates`, `roc`, `agreement`, `multireader`, `equivalence`, `power`,
`parameters`, each of which gives an `estimate`. `source` reads a set that is closed, `findings`
computes all of it once, `words` says what follows and what does not. `document` is the report
itself, which `routes` shows as a page and hands out as PDF, LaTeX, CSV and JSON.
"""
