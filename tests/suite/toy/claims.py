from common.report.claims import increases, series


def score_rises(seeds):
    return increases(series(seeds, ["score.1.0", "score.7.0"]), "score")
