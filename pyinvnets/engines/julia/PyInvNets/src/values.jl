# Activations and squeezers by name, as constructors take them.

# The bounds in the input's own type: a Float64 bound would turn Float32 activations into Float64, and a Float32 one
# would round in Float64.
struct Between <: Function
    low::Float64
    high::Float64
end

bounds(f::Between, x) = (low=eltype(x)(f.low), high=eltype(x)(f.high))

(f::Between)(x) = Sigmoid(x; bounds(f, x)...)

function sigmoid_between(low, high)
    f = Between(low, high)
    return ActivationFunction(
        f, y -> SigmoidInv(y; bounds(f, y)...), (Δy, y; x=nothing) -> SigmoidGrad(Δy, y; x=x, bounds(f, Δy)...)
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
