"""Whether posteriors can be trusted: functions of posterior samples and the truths that they were drawn for.

Samples have shape `(n, m, n_features)`, as `VectorFlow.sample(n, C, each=True)` gives them: `n` posterior samples for
each of `m` observations. Truths, whose simulated observations these are, have shape `(m, n_features)`. Of images the
shapes are `(nx, ny, n_channels, m, n)`, as `sample(n, C, each=True)` of a network gives them, and
`(nx, ny, n_channels, m)`. The figures are in `pyinvnets.plotting`.
"""

from .calibration import Ranks, highest_density, sbc, tarp
from .images import ImageMaps, Uncertainty, image_maps, uncertainty
from .inference_data import to_inference_data
from .recovery import contraction, z_score
from .two_sample import c2st

__all__ = [
    "ImageMaps",
    "Ranks",
    "Uncertainty",
    "c2st",
    "contraction",
    "highest_density",
    "image_maps",
    "sbc",
    "tarp",
    "to_inference_data",
    "uncertainty",
    "z_score",
]
