# Upstream's slow spots, with the same arithmetic in a few matrix products over the whole batch.
#
# `Conv1x1` loops over the samples and, in its gradient, over channels and samples, allocating at each step. NNlib's
# convolutions work sample by sample, which for images of one pixel costs far more than the arithmetic.
#
# The methods are for dense arrays, more specific than upstream's, which they fall back to where `FAST` is off. Those of
# `Conv1x1` are for a GPU's arrays too, whose own part is in device.jl.

const FAST = Ref(true)

set_fast!(on) = (FAST[] = on; nothing)

const Float = Union{Float32,Float64}
const Dense{T,N} = Union{Array{T,N},AbstractGPUArray{T,N}}

import InvertibleNetworks: backward, conv1x1_grad_v, forward, inverse

# Conv1x1: each sample is a matrix of pixels by channels, multiplied from the right by three reflections.

reflection(v) = I - (2 / dot(v, v)) * v * v'
vectors(C::Conv1x1, ::Array{T}) where {T} = map(p -> p.data::Vector{T}, (C.v1, C.v2, C.v3))

samples(X::Dense{T,N}) where {T,N} = reshape(X, :, size(X, N - 1), size(X, N))
isonepixel(X::Dense{T,N}) where {T,N} = prod(size(X)[1:(N-2)]) == 1
onepixel(X::Dense{T,N}) where {T,N} = reshape(X, size(X, N - 1), size(X, N))

function multiply_channels(X::Dense, R)
    return isonepixel(X) ? reshape(R' * onepixel(X), size(X)) : multiply_each(X, R)
end

# The sum over samples of `x' * y`.
function channel_products(X::Dense, Y::Dense)
    return isonepixel(X) ? onepixel(X) * onepixel(Y)' : sum_products(X, Y)
end

function multiply_each(X::Array{T}, R::Matrix{T}) where {T}
    Y = similar(X)
    for (x, y) in zip(eachslice(samples(X); dims=3), eachslice(samples(Y); dims=3))
        mul!(y, x, R)
    end
    return Y
end

function sum_products(X::Array{T}, Y::Array{T}) where {T}
    sum = zeros(T, size(X, ndims(X) - 1), size(Y, ndims(Y) - 1))
    for (x, y) in zip(eachslice(samples(X); dims=3), eachslice(samples(Y); dims=3))
        mul!(sum, x', y, one(T), one(T))
    end
    return sum
end

function forward(X::Dense{T,N}, C::Conv1x1; logdet=nothing) where {T<:Float,N}
    FAST[] || return invoke(forward, Tuple{AbstractArray{T,N},Conv1x1}, X, C; logdet)
    H1, H2, H3 = map(reflection, vectors(C, X))
    Y = multiply_channels(X, H1 * H2 * H3)
    return something(logdet, C.logdet) ? (Y, 0) : Y
end

function inverse(Y::Dense{T,N}, C::Conv1x1; logdet=nothing) where {T<:Float,N}
    FAST[] || return invoke(inverse, Tuple{AbstractArray{T,N},Conv1x1}, Y, C; logdet)
    H1, H2, H3 = map(reflection, vectors(C, Y))
    X = multiply_channels(Y, H3 * H2 * H1)
    return something(logdet, C.logdet) ? (X, 0) : X
end

function conv1x1_grad_v(X::Dense{T,N}, ΔY::Dense{T,N}, C::Conv1x1; adjoint=false) where {T<:Float,N}
    FAST[] || return invoke(conv1x1_grad_v, Tuple{AbstractArray{T,N},AbstractArray{T,N},Conv1x1}, X, ΔY, C; adjoint)
    v1, v2, v3 = vectors(C, X)
    C.freeze && return zero(v1), zero(v2), zero(v3)
    H1, H2, H3 = map(reflection, (v1, v2, v3))
    ΔR = adjoint ? channel_products(ΔY, X) : channel_products(X, ΔY)
    return (
        reflection_gradient(v1, ΔR * (H3 * H2)),
        reflection_gradient(v2, H1 * ΔR * H3),
        reflection_gradient(v3, (H2 * H1) * ΔR),
    )
end

# The gradient of `v` from that of `I - 2 v v' / v'v`.
function reflection_gradient(v::Vector{T}, ΔH::Matrix{T}) where {T}
    n = dot(v, v)
    Hv = ΔH * v
    return (-2 / n) .* (Hv .+ ΔH' * v) .+ (4 * dot(v, Hv) / n^2) .* v
end

# ResidualBlock. On images of one pixel a convolution is one matrix product over the batch: of each kernel only one tap
# meets the image, all others the padding. On larger images NNlib convolves, but for a 1x1 kernel in the middle.

struct OnePixel{T,N}
    W1::Matrix{T}
    W2::Matrix{T}
    W3::Matrix{T}
    kernels::NTuple{3,Array{T,N}}
    taps::NTuple{3,Int}
end

struct Image{T,N}
    W1::Array{T,N}
    W2::Array{T,N}
    W3::Array{T,N}
    dims1::DenseConvDims
    dims2::DenseConvDims
    dims3::DenseConvDims
    pointwise::Bool
end

# The tap of kernel `W` that meets a single pixel; 0 where the output is not a single pixel.
function only_tap(W, stride, padding)
    k = size(W, 1)
    return 0 <= 1 + 2padding - k < stride ? k - padding : 0
end

kernels(RB::ResidualBlock, ::Array{T,N}) where {T,N} = map(p -> p.data::Array{T,N}, (RB.W1, RB.W2, RB.W3))

# What `X` is convolved with, and the layout for it: an image of one pixel as channels by samples.
function prepared(X::Array{T,N}, RB::ResidualBlock) where {T,N}
    W1, W2, W3 = kernels(RB, X)
    (s1, s2), (p1, p2) = RB.strides, RB.pad
    taps = (only_tap(W1, s1, p1), only_tap(W2, s2, p2), only_tap(W3, s1, p1))
    if isonepixel(X) && all(>(0), taps)
        return OnePixel(map(at_tap, (W1, W2, W3), taps)..., (W1, W2, W3), taps), onepixel(X)
    end
    dims1 = DenseConvDims(X, W1; stride=s1, padding=p1)
    hidden = (NNlib.output_size(dims1)..., size(W1, N), size(X, N))
    dims2 = DenseConvDims(hidden, size(W2); stride=s2, padding=p2)
    dims3 = InvertibleNetworks.DCDims(X, W3; stride=s1, padding=p1)
    return Image(W1, W2, W3, dims1, dims2, dims3, size(W2, 1) == 1 && s2 == 1 && p2 == 0), X
end

at_tap(W::Array{T,N}, tap) where {T,N} = W[ntuple(_ -> tap, N - 2)..., :, :]

function spread(ΔW::Matrix{T}, W::Array{T,N}, tap) where {T,N}
    whole = zero(W)
    whole[ntuple(_ -> tap, N - 2)..., :, :] = ΔW
    return whole
end

first_convolution(K::OnePixel, X) = K.W1' * X
first_adjoint(K::OnePixel, Δ) = K.W1 * Δ
first_gradient(K::OnePixel, X, Δ) = spread(X * Δ', K.kernels[1], K.taps[1])
second_convolution(K::OnePixel, X) = K.W2' * X
second_adjoint(K::OnePixel, Δ) = K.W2 * Δ
second_gradient(K::OnePixel, X, Δ) = spread(X * Δ', K.kernels[2], K.taps[2])
third_transposed(K::OnePixel, X) = K.W3 * X
third_adjoint(K::OnePixel, Δ) = K.W3' * Δ
third_gradient(K::OnePixel, X, Δ) = spread(Δ * X', K.kernels[3], K.taps[3])

first_convolution(K::Image, X) = conv(X, K.W1, K.dims1)
first_adjoint(K::Image, Δ) = ∇conv_data(Δ, K.W1, K.dims1)
first_gradient(K::Image, X, Δ) = ∇conv_filter(X, Δ, K.dims1)
channel_matrix(K::Image) = reshape(K.W2, size(K.W2)[(end-1):end])
second_convolution(K::Image, X) = K.pointwise ? multiply_channels(X, channel_matrix(K)) : conv(X, K.W2, K.dims2)
second_adjoint(K::Image, Δ) = K.pointwise ? multiply_channels(Δ, permutedims(channel_matrix(K))) : ∇conv_data(Δ, K.W2, K.dims2)
second_gradient(K::Image, X, Δ) = K.pointwise ? reshape(channel_products(X, Δ), size(K.W2)) : ∇conv_filter(X, Δ, K.dims2)
third_transposed(K::Image, X) = ∇conv_data(X, K.W3, K.dims3)
third_adjoint(K::Image, Δ) = conv(Δ, K.W3, K.dims3)
third_gradient(K::Image, X, Δ) = ∇conv_filter(Δ, X, K.dims3)

channelwise(b, ::Matrix{T}) where {T} = b.data::Vector{T}
channelwise(b, Y::Array{T,N}) where {T,N} = reshape(b.data::Vector{T}, ntuple(_ -> 1, N - 2)..., :, 1)

sum_channels(Δ::Matrix) = vec(sum(Δ; dims=2))
sum_channels(Δ::Array{T,N}) where {T,N} = vec(sum(Δ; dims=(ntuple(identity, N - 2)..., N)))

# The output and all that `block_backward` needs, so that a coupling layer, which runs its block to invert itself, need
# not run it again. Where it is `linear`, the last convolution is the end.
function block_forward(X::Array{T,N}, RB::ResidualBlock; linear=false) where {T,N}
    K, X1 = prepared(X, RB)
    Y1 = first_convolution(K, X1)
    Y1 .+= channelwise(RB.b1, Y1)
    X2 = RB.activation.forward(Y1)::typeof(Y1)
    Y2 = second_convolution(K, X2)
    Y2 .+= X2 .+ channelwise(RB.b2, Y2)
    X3 = RB.activation.forward(Y2)::typeof(Y2)
    Y3 = third_transposed(K, X3)
    linear && return image(Y3, X), (K, X1, Y1, X2, Y2, X3, Y3)
    Y4 = (RB.fan ? RB.activation.forward(Y3) : InvertibleNetworks.GaLU(Y3))::typeof(Y3)
    return image(Y4, X), (K, X1, Y1, X2, Y2, X3, Y3)
end

function block_backward(ΔX4::Array{T,N}, states, RB::ResidualBlock; linear=false) where {T,N}
    K, X1, Y1, X2, Y2, X3, Y3 = states
    gate = RB.activation.backward
    Δ4 = in_layout(ΔX4, Y3)
    Δ3 = (linear ? Δ4 : RB.fan ? gate(Δ4, Y3) : InvertibleNetworks.GaLUgrad(Δ4, Y3))::typeof(Y3)
    Δ2 = gate(third_adjoint(K, Δ3), Y2)::typeof(Y2)
    Δ1 = second_adjoint(K, Δ2)
    Δ1 .+= Δ2
    Δ1 = gate(Δ1, Y1)::typeof(Y1)
    gradients = (
        first_gradient(K, X1, Δ1),
        second_gradient(K, X2, Δ2),
        third_gradient(K, X3, Δ3),
        sum_channels(Δ1),
        sum_channels(Δ2),
    )
    return image(first_adjoint(K, Δ1), ΔX4), gradients
end

in_layout(Δ::Array{T,N}, ::Array{T,N}) where {T,N} = Δ
in_layout(Δ::Array{T}, ::Matrix{T}) where {T} = onepixel(Δ)

image(Y::Array{T,N}, ::Array{T,N}) where {T,N} = Y
image(Y::Matrix{T}, ::Array{T,N}) where {T,N} = reshape(Y, ntuple(_ -> 1, N - 2)..., size(Y)...)

function set_gradients!(RB::ResidualBlock, gradients)
    for (p, gradient) in zip((RB.W1, RB.W2, RB.W3, RB.b1, RB.b2), gradients)
        p.grad = gradient
    end
end

function forward(X::Array{T,N}, RB::ResidualBlock; save=false) where {T<:Float,N}
    FAST[] || return invoke(forward, Tuple{AbstractArray{T,N},ResidualBlock}, X, RB; save)
    Y, (_, _, Y1, _, Y2, _, Y3) = block_forward(X, RB)
    return save ? (image(Y1, X), image(Y2, X), image(Y3, X)) : Y
end

function backward(ΔX4::Array{T,N}, X::Array{T,N}, RB::ResidualBlock; set_grad::Bool=true) where {T<:Float,N}
    if !FAST[]
        return invoke(backward, Tuple{AbstractArray{T,N},AbstractArray{T,N},ResidualBlock}, ΔX4, X, RB; set_grad)
    end
    ΔX, gradients = block_backward(ΔX4, block_forward(X, RB)[2], RB)
    set_grad || return ΔX, [Parameter(g) for g in gradients]
    set_gradients!(RB, gradients)
    return ΔX
end

# CouplingLayerGlow: upstream runs its block twice, to invert the layer and again for the block's own gradient.
function backward(ΔY::Array{T,N}, Y::Array{T,N}, L::CouplingLayerGlow; set_grad::Bool=true) where {T<:Float,N}
    if !FAST[] || !set_grad || !(L.RB isa ResidualBlock)
        return invoke(backward, Tuple{AbstractArray{T,N},AbstractArray{T,N},CouplingLayerGlow}, ΔY, Y, L; set_grad)
    end
    Y1, X2 = tensor_split(Y)
    output, states = block_forward(X2, L.RB)
    log_scale, shift = tensor_split(output)
    S = L.activation.forward(log_scale)::Array{T,N}
    X1 = (Y1 .- shift) ./ (S .+ eps(T))

    ΔY1, ΔY2 = tensor_split(ΔY)
    ΔS = ΔY1 .* X1
    L.logdet && (ΔS .-= 1 ./ S ./ size(S, N))
    ΔX2, gradients = block_backward(tensor_cat(L.activation.backward(ΔS, S)::Array{T,N}, ΔY1), states, L.RB)
    set_gradients!(L.RB, gradients)
    ΔY2 .+= ΔX2
    ΔY1 .*= S
    return L.C.inverse((tensor_cat(ΔY1, ΔY2), tensor_cat(X1, X2)))
end
