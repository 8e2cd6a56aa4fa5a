"""What a promise on false alarms is worth on new parts, by the rule that chose.

``python bench/thresholds.py``: the scores of a detector are drawn, not measured: a
normal distribution of logits for defects, one for false alarms, and a share of hard
false alarms that score like defects; classes differ in level and number. Each draw has
60 defective and some good parts to choose on, and new parts to count on. The rules:

* ``common``: one threshold for all classes by order statistics, as ``graftline train``.
* ``just-above``: the same, not moved into the gap below the next right detection.
* ``per-class``: for each class its own threshold, the best combination on the good
  parts that are chosen on (tried exhaustively): the rule of the earlier version.
* ``best-f1``: one threshold for all classes with the best F1, without a limit.

``groups`` has parts of lots of uneven sizes: each lot shifts the scores of all its
false alarms. New parts are of lots that were not chosen on.

Result: ``bench/results/thresholds.json``.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring.machine import RESULTS, configuration, describe_machine, write_result

from trainer.evaluation.thresholds.limits import OVERKILL_TARGET
from trainer.evaluation.thresholds.order_statistics import (
    just_above,
    promised_share,
    promised_unseen,
    rank_of,
    score_at,
    score_of_groups,
)

Rng = np.random.Generator
CLASSES, GOOD = (1, 3, 6), (5, 9, 20, 50, 75, 150)
DEFECTIVE, NEW = 60, 2000
FALSE_ALARMS = 0.7  # of a part, on average
SPREAD, CLASS_SPREAD = 1.3, 0.7  # of logits
HARD = 0.03  # of false alarms, which score like defects
LEVELS = {"strong": 3.0, "fair": 1.5}  # mean logit of a defect
FALSE_LEVEL = -2.0
LOTS, LOT_PARTS, LOT_SPREAD = (3, 10, 60), 300, 0.7
LOWEST = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """Drawn scores: the highest of each class on good parts, and those of defects."""

    good: np.ndarray  # [G, C] 0 = no detection
    defects: np.ndarray  # [D] score of each labelled defect
    labels: np.ndarray  # [D] its class
    wrong: np.ndarray  # [W] scores of false alarms, of all parts


Rule = Callable[[Parts, int], np.ndarray]
"""Returns the threshold of each class, ``[C]``."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A drawn detector."""

    level: float  # mean logit of a defect
    offsets: np.ndarray  # [C] of defects
    false_offsets: np.ndarray  # [C] of false alarms
    shares: np.ndarray  # [C] how often a class is seen

    def false_alarms(
        self, rng: Rng, shifts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the highest score of each class on parts, and all scores.

        Args:
            shifts: ``[G]`` added to the logits of each part.
        """
        part = np.repeat(np.arange(len(shifts)), rng.poisson(FALSE_ALARMS, len(shifts)))
        label = rng.choice(len(self.shares), len(part), p=self.shares)
        hard = rng.random(len(part)) < HARD
        mean = np.where(hard, self.level, FALSE_LEVEL + self.false_offsets[label])
        scores = _sigmoid(rng.normal(mean + shifts[part], SPREAD))
        highest = np.zeros((len(shifts), len(self.shares)))
        np.maximum.at(highest, (part, label), scores)
        return highest, scores

    def parts(self, rng: Rng, defective: int, shifts: np.ndarray) -> Parts:
        """Draw parts.

        Args:
            shifts: ``[G]`` added to the logits of each good part.
        """
        defects = defective + int(rng.binomial(defective, 0.5))
        labels = rng.choice(len(self.shares), defects, p=self.shares)
        scores = _sigmoid(rng.normal(self.level + self.offsets[labels], SPREAD))
        highest, wrong = self.false_alarms(rng, shifts)
        _, more = self.false_alarms(rng, np.zeros(defective))
        return Parts(highest, scores, labels, np.concatenate((wrong, more)))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-logits))
    return result


def draw_detector(rng: Rng, level: float, classes: int) -> Detector:
    """Return a detector whose classes differ in level and number."""
    offsets, false_offsets = rng.normal(0, CLASS_SPREAD, (2, classes))
    return Detector(level, offsets, false_offsets, rng.dirichlet(np.full(classes, 3.0)))


def common(parts: Parts, allowed_rank: int) -> np.ndarray:
    """Return one threshold above the score of a rank, halfway to the next defect."""
    least = float(just_above_all(parts, allowed_rank)[0])
    right = parts.defects[parts.defects >= least]
    if len(right):
        least = (least + float(right.min())) / 2
    return np.full(parts.good.shape[1], least)


def just_above_all(parts: Parts, allowed_rank: int) -> np.ndarray:
    """Return one threshold just above the score of a rank."""
    limit = score_at(allowed_rank, parts.good.max(axis=1))
    return np.full(parts.good.shape[1], max(LOWEST, just_above(limit)))


def per_class(parts: Parts, _: int) -> np.ndarray:
    """Return the thresholds with the most defects found while few enough alarm."""
    allowed = int(OVERKILL_TARGET * len(parts.good))
    tried, hits = [], []
    for label in range(parts.good.shape[1]):
        floors = np.sort(parts.good[:, label])[::-1][: allowed + 1]
        thresholds = np.maximum(LOWEST, [just_above(float(s)) for s in floors])
        mine = parts.defects[parts.labels == label]
        tried.append(thresholds)
        hits.append((mine >= thresholds[:, None]).sum(axis=1))
    best, most = np.ones(parts.good.shape[1]), -1
    for chosen in itertools.product(*(range(len(one)) for one in tried)):
        found = sum(int(hits[c][i]) for c, i in enumerate(chosen))
        if found <= most:
            continue
        limits = np.array([tried[c][i] for c, i in enumerate(chosen)])
        if (parts.good >= limits).any(axis=1).sum() <= allowed:
            best, most = limits, found
    return best


def best_f1(parts: Parts, _: int) -> np.ndarray:
    """Return one threshold with the best F1."""
    tried = np.sort(parts.defects)
    hits = len(tried) - np.arange(len(tried))
    wrong = (parts.wrong >= tried[:, None]).sum(axis=1)
    best = tried[int((2 * hits / (hits + wrong + len(tried))).argmax())]
    return np.full(parts.good.shape[1], max(LOWEST, float(best)))


RULES: dict[str, Rule] = {
    "common": common,
    "just-above": just_above_all,
    "per-class": per_class,
    "best-f1": best_f1,
}


def realized(parts: Parts, thresholds: np.ndarray) -> tuple[float, float]:
    """Return overkill and recall on new parts."""
    alarmed = (parts.good >= thresholds).any(axis=1).mean()
    return float(alarmed), float((parts.defects >= thresholds[parts.labels]).mean())


def measure_rules(
    rng: Rng, level: float, classes: int, good: int, draws: int
) -> dict[str, Any]:
    """Return mean overkill and recall of each rule on new parts."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    rank = rank_of(OVERKILL_TARGET, good)
    for _ in range(draws):
        detector = draw_detector(rng, level, classes)
        chosen_on = detector.parts(rng, DEFECTIVE, np.zeros(good))
        new = detector.parts(rng, NEW, np.zeros(NEW))
        for name, rule in RULES.items():
            figures[name].append(realized(new, rule(chosen_on, rank)))
    return {
        "promised": round(promised_share(rank, good), 4),
        **{name: summary(rows) for name, rows in figures.items()},
    }


def measure_groups(rng: Rng, level: float, lots: int, draws: int) -> dict[str, Any]:
    """Return the same for parts of lots; new ones are of lots not chosen on."""
    pooled, by_lot = [], []
    rank = rank_of(OVERKILL_TARGET, LOT_PARTS)
    for _ in range(draws):
        detector = draw_detector(rng, level, 3)
        sizes = rng.dirichlet(np.ones(lots))
        groups = rng.choice(lots, LOT_PARTS, p=sizes)
        shifts = rng.normal(0, LOT_SPREAD, lots)[groups]
        chosen_on = detector.parts(rng, DEFECTIVE, shifts)
        new = detector.parts(rng, NEW, rng.normal(0, LOT_SPREAD, NEW))
        limits = common(chosen_on, rank)
        pooled.append(realized(new, limits))
        top = chosen_on.good.max(axis=1)
        of_lots = score_of_groups(OVERKILL_TARGET, top, groups.tolist())
        by_lot.append(realized(new, np.maximum(limits, just_above(of_lots))))
    return {
        "promised_like_these": round(promised_share(rank, LOT_PARTS), 4),
        "promised_unseen_group": round(promised_unseen(OVERKILL_TARGET, lots), 4),
        "common": summary(pooled),
        "common-of-groups": summary(by_lot),
    }


def summary(rows: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the means over draws, and the spread of overkill."""
    overkill, recall = np.array(rows).T
    return {
        "overkill": round(float(overkill.mean()), 4),
        "overkill_95": round(float(np.quantile(overkill, 0.95)), 4),
        "recall": round(float(recall.mean()), 4),
    }


def main(arguments: list[str]) -> int:
    """Draw, choose and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "thresholds.json")
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(args.seed)
    started_s = time.process_time()
    rules = [
        {"detector": name, "classes": classes, "good_parts": good}
        | measure_rules(rng, LEVELS[name], classes, good, args.draws)
        for name, classes, good in itertools.product(LEVELS, CLASSES, GOOD)
    ]
    groups = [
        {"detector": name, "lots": lots, "good_parts": LOT_PARTS}
        | measure_groups(rng, LEVELS[name], lots, args.draws)
        for name, lots in itertools.product(LEVELS, LOTS)
    ]
    document = {
        "machine": describe_machine(),
        "configuration": configuration(args),
        "cpu_seconds": round(time.process_time() - started_s, 1),
        "target": OVERKILL_TARGET,
        "rules": rules,
        "groups": groups,
    }
    write_result(args.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
