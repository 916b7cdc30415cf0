"""What each kind of layer and network does with its arrays."""

from __future__ import annotations

from drawing import Diagram, Frame, chain


def coupling(change: str, *condition: str) -> Diagram:
    """Half of the channels changed by what a block makes of the other half, and of a condition where there is one."""
    return Diagram(
        {
            "X": (1, 0),
            "Conv1x1": (1, 1),
            "first half": (0, 2),
            **dict.fromkeys(condition, (1, 2)),
            "second half": (2, 2),
            "ResidualBlock": (1, 3),
            change: (0, 4),
            "both halves": (1, 5),
            "Y": (1, 6),
        },
        f"X > Conv1x1 > first half > {change} > both halves > Y; Conv1x1 > second half > both halves; "
        f"second half > ResidualBlock > {change}" + "".join(f"; {name} > ResidualBlock" for name in condition),
    )


def scales(*steps: str) -> Diagram:
    """A multiscale network: L times a squeeze, then K flow steps, then half of the channels leave."""
    last = 1 + len(steps)
    return chain(
        "X",
        "squeeze",
        *steps,
        "half leaves",
        "Z",
        frames=(Frame("L scales", 1, last + 1), Frame("K steps", 2, last, inner=True)),
    )


def conditional_scales(layer: str) -> Diagram:
    return Diagram(
        {
            "X": (0, 0),
            "C": (1, 0),
            "ActNorm of C": (1, 1),
            "squeeze": (0, 2),
            "squeeze C": (1, 2),
            "ActNorm": (0, 3),
            layer: (0, 4),
            "half leaves": (0, 5),
            "Z": (0, 6),
            "C of forward": (1, 6),
        },
        f"X > squeeze > ActNorm > {layer} > half leaves > Z; C > ActNorm of C > squeeze C > {layer}; "
        "squeeze C > C of forward",
        (Frame("L scales", 2, 5), Frame("K steps", 3, 4, inner=True)),
    )


def pairs(first: int, *frames: Frame, squeeze: bool = False) -> Diagram:
    """HINT over data and observation."""
    boxes = {"X": (0, 0), "Y": (1, 0)}
    if squeeze:
        boxes |= {"squeeze": (0, 1), "squeeze Y": (1, 1)}
    boxes |= {"ActNorm": (0, first), "ActNorm of Y": (1, first), "ConditionalLayerHINT": (0.5, first + 1)}
    if squeeze:
        boxes |= {"half leaves": (0, first + 2), "half of Y leaves": (1, first + 2)}
    boxes |= {"Zx": (0, first + 2 + squeeze), "Zy": (1, first + 2 + squeeze)}
    before = ("squeeze > ", "squeeze Y > ") if squeeze else ("", "")
    after = ("half leaves > ", "half of Y leaves > ") if squeeze else ("", "")
    arrows = (
        f"X > {before[0]}ActNorm > ConditionalLayerHINT > {after[0]}Zx; "
        f"Y > {before[1]}ActNorm of Y > ConditionalLayerHINT > {after[1]}Zy"
    )
    return Diagram(boxes, arrows, frames)


RECURSIVE = Diagram(
    {
        "X": (1, 0),
        "permutation": (1, 1),
        "first half": (0, 2),
        "second half": (2, 2),
        "itself, recursively": (0, 3),
        "ResidualBlock": (1, 3),
        "itself again": (2, 4),
        "scale and shift": (0, 4),
        "both halves": (1, 5),
        "Y": (1, 6),
    },
    "X > permutation > first half > itself, recursively > scale and shift > both halves > Y; "
    "permutation > second half > ResidualBlock > scale and shift; second half > itself again > both halves",
)

DIAGRAMS = {
    "ActNorm": chain("X", "Scale, bias by channel", "Y"),
    "AffineLayer": chain("X", "Scale, bias by pixel", "Y"),
    "Conv1x1": chain("X", "Reflection v1", "Reflection v2", "Reflection v3", "Y"),
    "CouplingLayerBasic": Diagram(
        {"X": (0, 0), "Y": (1, 0), "ResidualBlock": (0.5, 1), "scale and shift": (1, 2), "X, as it was": (0, 3)}
        | {"Y, changed": (1, 3)},
        "X > X, as it was; X > ResidualBlock > scale and shift > Y, changed; Y > scale and shift",
    ),
    "CouplingLayerGlow": coupling("scale and shift"),
    "ConditionalLayerGlow": coupling("scale and shift", "C"),
    "CouplingLayerSpline": coupling("splines"),
    "CouplingLayerHINT": RECURSIVE,
    "ConditionalLayerHINT": Diagram(
        {
            "X": (0, 0),
            "Y": (2, 0),
            "Conv1x1": (0, 1),
            "Conv1x1 of Y": (2, 1),
            "CouplingLayerHINT": (0, 2),
            "CouplingLayerBasic": (1, 2),
            "HINT coupling of Y": (2, 3),
            "scale and shift": (0, 3),
            "Zx": (0, 4),
            "Zy": (2, 4),
        },
        "X > Conv1x1 > CouplingLayerHINT > scale and shift > Zx; Y > Conv1x1 of Y > HINT coupling of Y > Zy; "
        "Conv1x1 of Y > CouplingLayerBasic > scale and shift",
    ),
    "HyperbolicLayer": Diagram(
        {
            "X_prev": (0, 0),
            "X_curr": (1, 0),
            "-α Wᵀ relu(W X + b)": (0.5, 1),
            "2 X_curr - X_prev + it": (0, 2),
            "X_curr, as it was": (1, 3),
            "X_new": (0, 3),
        },
        "X_prev > 2 X_curr - X_prev + it > X_new; X_curr > -α Wᵀ relu(W X + b) > 2 X_curr - X_prev + it; "
        "X_curr > X_curr, as it was",
    ),
    "CouplingLayerIRIM": Diagram(
        {
            "X": (1, 0),
            "Conv1x1": (1, 1),
            "first half": (2, 2),
            "second half": (0, 2),
            "ResidualBlock": (1, 3),
            "sum": (0, 4),
            "both halves": (1, 5),
            "Inverse of Conv1x1": (1, 6),
            "Y": (1, 7),
        },
        "X > Conv1x1 > second half > sum > both halves > Inverse of Conv1x1 > Y; Conv1x1 > first half > both halves; "
        "first half > ResidualBlock > sum",
    ),
    "ResidualBlock": Diagram(
        {
            "X": (0, 0),
            "Convolution W1, b1": (0, 1),
            "relu": (0, 2),
            "Convolution W2, b2": (0, 3),
            "sum": (0.5, 4),
            "its relu": (0.5, 5),
            "Transposed W3": (0.5, 6),
            "gate, or relu with fan": (0.5, 7),
            "Y": (0.5, 8),
            "skip": (1, 3),
        },
        "X > Convolution W1, b1 > relu > Convolution W2, b2 > sum > its relu > Transposed W3 > gate, or relu with fan"
        " > Y; relu > skip > sum",
    ),
    "EmbeddingBlock": chain("X", "its elements as channels", "ResidualBlock", "channels as elements", "Y"),
    "UNet": Diagram(
        {
            "X": (0, 0),
            "ResidualBlock, down": (0, 1),
            "halved": (1, 2),
            "smaller images, likewise": (1, 3),
            "doubled": (1, 4),
            "both together": (0, 5),
            "ResidualBlock, up": (0, 6),
            "Y": (0, 7),
        },
        "X > ResidualBlock, down > halved > smaller images, likewise > doubled > both together > ResidualBlock, up > Y"
        "; ResidualBlock, down > both together",
    ),
    "ConditionalResidualBlock": Diagram(
        {"X": (0, 0), "D": (1, 0), "Dense layer W0, b0": (1, 1), "X and D together": (0.5, 2)}
        | {"Block W1, W2, W3": (0.5, 3), "Y": (0.5, 4)},
        "X > X and D together; D > Dense layer W0, b0 > X and D together > Block W1, W2, W3 > Y",
    ),
    "NetworkGlow": scales("ActNorm", "CouplingLayerGlow"),
    "NetworkSpline": scales("ActNorm", "CouplingLayerSpline"),
    "NetworkConditionalGlow": conditional_scales("ConditionalLayerGlow"),
    "NetworkConditionalSpline": conditional_scales("Spline coupling, given C"),
    "NetworkMultiScaleHINT": scales("ActNorm", "CouplingLayerHINT"),
    "NetworkConditionalHINT": pairs(1, Frame("depth times", 1, 2)),
    "NetworkMultiScaleConditionalHINT": pairs(
        2, Frame("L scales", 1, 4), Frame("K steps", 2, 3, inner=True), squeeze=True
    ),
    "NetworkHyperbolic": Diagram(
        {"X_prev": (0, 0), "X_curr": (1, 0), "HyperbolicLayer": (0.5, 1), "Last state but one": (0, 2)}
        | {"Last state": (1, 2)},
        "X_prev > HyperbolicLayer > Last state but one; X_curr > HyperbolicLayer > Last state",
        (Frame("each layer", 1, 1),),
    ),
    "NetworkLoop": Diagram(
        {
            "d, J": (0, 0),
            "eta": (1, 0),
            "s": (2, 0),
            "gradient of the misfit": (0, 1),
            "ActNorm": (0, 2),
            "sum with s": (1, 3),
            "Coupling layer": (1, 4),
            "eta, updated": (0.5, 5),
            "s, updated": (1.5, 5),
        },
        "d, J > gradient of the misfit > ActNorm > sum with s > Coupling layer > eta, updated; "
        "eta > gradient of the misfit; eta > sum with s; s > sum with s; Coupling layer > s, updated",
        (Frame("maxiter", 1, 4),),
    ),
    "Sequential": chain("X", "First layer", "Second layer", "more layers", "Y"),
    "SummarizedNet": Diagram(
        {"X": (0, 0), "Y": (1, 0), "Summary network": (1, 1), "Conditional network": (0, 2), "Z": (0, 3)},
        "X > Conditional network > Z; Y > Summary network > Conditional network",
    ),
    "reverse": chain("Z", "The original's inverse", "X"),
    "FluxBlock": chain("X", "Flux model", "Y"),
}
"""By the name of the class, or function."""
