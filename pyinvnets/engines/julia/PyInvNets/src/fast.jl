# Upstream's slow spots, with the same arithmetic in matrix products over many samples and pixels: its 1x1 convolutions
# and their gradients, and NNlib's convolutions, which work sample by sample.
#
# The methods are for dense arrays, more specific than upstream's, which they fall back to where `FAST` is off.

const FAST = Ref(true)

set_fast!(on) = (FAST[] = on; nothing)

const Float = Union{Float32,Float64}
const Dense{T,N} = Union{Array{T,N},AbstractGPUArray{T,N}}

import InvertibleNetworks: backward, backward_inv, conv1x1_grad_v, forward, inverse

include("scratch.jl")
include("convolutions.jl")
include("rotations.jl")
include("blocks.jl")
include("couplings.jl")
include("norms.jl")
include("hyperbolic.jl")
