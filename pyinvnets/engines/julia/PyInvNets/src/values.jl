# Activations and squeezers by name, as constructors take them.

# The bounds in the input's own type: a Float64 bound would turn Float32 activations into Float64, and a Float32 one
# would round in Float64.
function sigmoid_between(low, high)
    bounds(x) = (low=eltype(x)(low), high=eltype(x)(high))
    return ActivationFunction(
        x -> Sigmoid(x; bounds(x)...),
        y -> SigmoidInv(y; bounds(y)...),
        (Δy, y; x=nothing) -> SigmoidGrad(Δy, y; x=x, bounds(Δy)...),
    )
end

# Upstream's `ExpClampLayer` inverts, and takes its gradient, at half the output.
exp_clamp() = ActivationFunction(x -> ExpClamp(x), y -> ExpClampInv(y), (Δy, y) -> ExpClampGrad(Δy, y))

const VALUES = Dict{String,Function}(
    "ReLUlayer" => ReLUlayer,
    "LeakyReLUlayer" => LeakyReLUlayer,
    "SigmoidLayer" => (low, high) -> (low == 0 && high == 1) ? SigmoidLayer() : sigmoid_between(low, high),
    "Sigmoid2Layer" => Sigmoid2Layer,
    "GaLUlayer" => GaLUlayer,
    "ExpClampLayer" => exp_clamp,
    "ShuffleLayer" => pattern -> ShuffleLayer(; pattern),
    "WaveletLayer" => type -> WaveletLayer(),
    "HaarLayer" => HaarLayer,
)

value(name, arguments...) = VALUES[name](arguments...)
