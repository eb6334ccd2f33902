"""The last dense layers of a graph, what they stand on, and what is left where they are no model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch_impl.tf1.graphs.comparing import Compared
from torch_impl.tf1.graphs.judge import LIMIT, Unknown
from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.meta import VARIABLES
from torch_impl.tf1.inferred import Inferred, is_dense
from torch_impl.tf1.sources import Source
from unrolled.networks import prefixed

__all__ = ["Tops"]


class Tops(Compared):
    """What is on top of the recurrent parts."""

    def _together(self, found: list[Inferred], problems: list[str]) -> Inferred | None:
        """One model, or several heads on one network; None, with a problem more, where they are none."""
        whole, read = found[0], len(found)
        found = [one for k, one in enumerate(found) if one.weights not in [each.weights for each in found[:k]]]
        if len(found) == 1 < read:
            why = f"it reads {read} sequences there, and a run here reads one: --as-module FILE.py writes it once"
            whole = replace(whole, why=why)
        elif len(found) > 1:
            number = len(found)
            heads = tuple(head for one in found for head in one.heads)
            own = [{name: source for name, source in one.weights.items() if is_dense(name)} for one in found]
            below = [{name: source for name, source in one.weights.items() if not is_dense(name)} for one in found]
            networks = {(head.network, head.inputs, head.embedding) for head in heads}
            if len(networks) > 1 or any(each != below[0] for each in below):
                problems.append(f"it has {number} last dense layers, of different networks")
                return None
            weights = dict(below[0])
            for k, each in enumerate(own):
                weights.update(prefixed(f"head_{k}/", each))
            whole = replace(
                whole, facts=_all(one.facts for one in found), assumed=_all(one.assumed for one in found),
                dropped=_all(one.dropped for one in found), weights=weights, heads=heads,
                probes=[probe for one in found for probe in one.probes], judged=max(one.judged or 0.0 for one in found),
                why=f"it has {number} last dense layers, and a run here has one: --as-module FILE.py writes it whole",
            )  # fmt: skip
        others = self._trained(whole.weights)
        if others:
            problems.append(f"the output depends on {', '.join(others)} as well")
            return None
        return whole

    def _trained(self, weights: dict[str, Source]) -> list[str]:
        """Variables between inputs and output that the model does not have, by the checkpoint's names."""
        known = {name for source in weights.values() for name in source.names}
        missing: list[str] = []
        for name in (name for top in self.tops for name in self.walk.all_ancestors(top.end)):
            if name in self.saved and self.graph.nodes[name].op in VARIABLES:
                own = self.saved[name].name
                if own not in known and own not in missing and self.graph.nodes[name].attribute("dtype") in (1, 2, 19):
                    missing.append(own)
        return missing

    def _only_parts(self, problems: list[str]) -> Inferred:
        largest: list[Part] = []
        for part in sorted(self.parts, key=lambda each: -len(each.cells)):
            known = {id(cell) for each in largest for cell in each.cells}
            if not part.reversed and "backward" not in part.facts and not known & {id(cell) for cell in part.cells}:
                largest.append(part)
        weights: dict[str, Source] = {}
        judged: list[float] = []
        reason = ""
        kept: list[Part] = []
        for part in largest:
            own: dict[str, Source] = {}
            for name, stored in part.found.weights.items():
                self.put(own, name, stored)
            try:
                near = self._judge_part(part, own)
            except Unknown as error:
                reason = str(error)
            else:
                if near > LIMIT:
                    scopes = ", ".join(each.scope for each in part.cells)
                    problems.append(self._begins(part) or f"{scopes}: not understood ({near:.1e} off the graph)")
                    continue
                judged.append(near)
            weights.update(prefixed(f"part_{len(kept)}/", own))
            kept.append(part)
        return Inferred(
            None,
            weights,
            facts=self._facts(),
            why="; ".join(dict.fromkeys(problems)),
            parts=[part.found.network for part in kept],
            judged=max(judged) if judged and not reason else None,
            unjudged=reason,
        )

    def _facts(self) -> list[str]:
        lines = [
            f"dropout: what it keeps is fed by {name}, and is not known; the model has none there"
            for name in dict.fromkeys(self.sequences.fed)
        ]
        return lines + [f"not known: {each}" for each in self.doubts]


def _all(lines: Iterable[list[str]]) -> list[str]:
    """The lines of all, each once."""
    return list(dict.fromkeys(line for some in lines for line in some))
