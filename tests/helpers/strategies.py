"""What hypothesis draws."""

from __future__ import annotations

from hypothesis import strategies as st

import pyinvnets as inv


@st.composite
def glows(draw):
    """A NetworkGlow of any options, and the shape of a batch for it."""
    ndims = draw(st.integers(1, 3))
    L = draw(st.integers(1, 2))
    split = draw(st.booleans())
    n_in = draw(st.integers(1 if split else 2, 5))
    k1, p1, s1 = draw(st.sampled_from([(3, 1, 1), (1, 0, 1), (2, 0, 2), (5, 2, 1), (3, 0, 1)]))
    k2 = draw(st.sampled_from([1, 3]))
    factor = 2**L if split else 1
    smallest = max(1, k1 - 2 * p1)
    spatial = [factor * draw(st.integers(smallest, smallest + 2)) for _ in range(ndims)]
    options = {
        "n_in": n_in,
        "n_hidden": draw(st.integers(1, 6)),
        "L": L,
        "K": draw(st.integers(1, 2)),
        "split_scales": split,
        "ndims": ndims,
        "k1": k1,
        "p1": p1,
        "s1": s1,
        "k2": k2,
        "p2": (k2 - 1) // 2,
        "logdet": draw(st.booleans()),
        "squeezer": draw(
            st.sampled_from([inv.HaarLayer(), inv.WaveletLayer(), *map(inv.ShuffleLayer, ("column", "patch"))])
        ),
        "activation": draw(st.sampled_from([inv.SigmoidLayer(), inv.Sigmoid2Layer(), inv.ExpClampLayer()])),
    }
    return options, (*spatial, n_in, draw(st.integers(2, 4)))
