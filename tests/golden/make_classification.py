"""Write classification.npz: scores of classifiers by scikit-learn, with ties and missing classes.

The areas are scikit-learn's in the metrics too: there they test how it is called.

pip install scikit-learn==1.9.1
python tests/golden/make_classification.py
"""

from pathlib import Path

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

CLASSES = 5
random = np.random.default_rng(0)

target = random.choice(4, 300, p=[0.55, 0.3, 0.1, 0.05])  # class 4 is in neither
logits = random.standard_normal((300, CLASSES)) + 1.5 * np.eye(CLASSES)[target]
logits[:, 3] -= 5  # class 3 is present and never predicted
logits[:, 4] -= 99
probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
scores = np.round(probabilities, 3)  # with ties
predicted = logits.argmax(1)
present = target[:, None] == np.arange(4)
arrays = {
    "target": target,
    "predicted": predicted,
    "probabilities": probabilities,
    "scores": scores,
    "confusion": confusion_matrix(target, predicted, labels=range(CLASSES)),
    "f1": f1_score(target, predicted, labels=range(CLASSES), average=None, zero_division=np.nan),
    "macro_f1": f1_score(target, predicted, average="macro"),
    "precision": precision_score(target, predicted, average=None, zero_division=0),
    "recall": recall_score(target, predicted, average=None, zero_division=0),
    "auroc": roc_auc_score(present, scores[:, :4], average=None),
    "average_precision": average_precision_score(present, scores[:, :4], average=None),
    "macro_auroc": roc_auc_score(target, probabilities[:, :4], multi_class="ovr"),
}
np.savez_compressed(Path(__file__).with_name("classification.npz"), **arrays)
for name, value in arrays.items():
    print(name, np.asarray(value).ravel()[:5])
