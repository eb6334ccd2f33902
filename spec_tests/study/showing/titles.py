"""The titles of a report's figures, each of which says what is to be seen, from the results."""

from __future__ import annotations

from typing import Any, Callable, Mapping

Results = Mapping[str, Any]


def drift(program: str, where: str) -> Callable[[Results], str]:
    def title(results: Results) -> str:
        pairs = [pair for pair in results["lockstep"]["pairs"] if pair["program"] == program]
        judged = [pair for pair in pairs if pair["ratio"] is not None]
        wrong = any(pair["verdict"] == "more than rounding" for pair in judged)
        if not judged:
            return "%s: how far the weights of two backends drift apart." % where
        told = "farther apart than rounding explains" if wrong else "no farther apart than rounding explains"
        ratio = max(pair["ratio"] for pair in judged)
        return "%s: two backends drift %s, at most %.2g times as far as one from itself." % (where, told, ratio)

    return title


def learning(results: Results) -> str:
    finals = [sum(each["final"]) / len(each["final"]) for each in results["accuracy"]["backends"].values()]
    apart = 100 * (max(finals) - min(finals)) if finals else 0.0
    return "MNIST from own initial values: means end %.2f points apart; bands are one standard deviation." % apart


def equivalence(results: Results) -> str:
    pairs = results["accuracy"]["pairs"]
    within = sum(pair["verdict"] == "equivalent" for pair in pairs)
    told = (
        "%d of %d differences lie" % (within, len(pairs))
        if len(pairs) != 1
        else "the difference %s" % ("lies" if within else "does not lie")
    )
    return "From own initial values: %s within the margin, with the whole 90%% interval." % told


def early(results: Results) -> str:
    known = [pair["early"]["p"] for pair in results["accuracy"]["pairs"] if pair["early"]["p"] is not None]
    told = "; no pair differs by less than p = %.2g" % min(known) if known else ""
    return "The first optimizer steps on MNIST from own initial values, mean over seeds%s." % told


def cost(results: Results) -> str:
    lines = [line for pair in results["verdict"] for line in pair["lines"] if line["question"] == "faster"]
    verdicts = list(dict.fromkeys(line["verdict"] for line in lines))
    told = "faster in training: %s" % verdicts[0] if len(verdicts) == 1 else "every round of every backend"
    return "Time per training step and per prediction; %s." % told


def always(text: str) -> Callable[[Results], str]:
    return lambda results: text
