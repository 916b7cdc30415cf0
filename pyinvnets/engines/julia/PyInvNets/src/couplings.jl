# Affine couplings, fused with their blocks and 1x1 convolutions: all of a group of samples, before the next.
#
# Of the numbers that a block gives for an element, before its last activation, the first is for the scale.

# Scales by element: what `activation.forward` gives, and its derivative there.

struct SigmoidScale{T}
    low::T
    span::T
end

scale(f::SigmoidScale, x) = f.low + f.span / (1 + exp(-x))
slope(f::SigmoidScale, S, x) = (S - f.low) * (f.low + f.span - S) / f.span

struct ExpClampScale{T}
    factor::T
end

scale(f::ExpClampScale, x) = exp(f.factor * atan(x))
slope(f::ExpClampScale, S, x) = f.factor * S / (1 + x^2)

# Of the activations that constructors take; `nothing` of any other, which upstream's methods know to use.
scale_of(activation::ActivationFunction, ::Type{T}) where {T} = scale_by(activation.forward, T)
scale_by(f, ::Type) = nothing
scale_by(f::typeof(SigmoidLayer().forward), ::Type{T}) where {T} = SigmoidScale{T}(f.low, f.high - f.low)
scale_by(::typeof(Sigmoid2Layer().forward), ::Type{T}) where {T} = SigmoidScale{T}(0, 2)
scale_by(f::Between, ::Type{T}) where {T} = SigmoidScale{T}(f.low, f.high - f.low)
scale_by(::typeof(exp_clamp().forward), ::Type{T}) where {T} = ExpClampScale{T}(2 * T(0.636))

struct Coupling{T,F,R}
    scale::F
    rectifier::R
    channels::Int
    logdet::Bool
    batch::Int
end

const AffineCoupling = Union{CouplingLayerGlow,ConditionalLayerGlow}

# `nothing` where upstream's own methods are to be used.
coupling(layer, X::AbstractArray) = nothing

function coupling(layer, X::Array{T,N}) where {T,N}
    FAST[] && layer.RB isa ResidualBlock || return nothing
    f = scale_of(layer.activation, T)
    isnothing(f) && return nothing
    r = rectifier(layer.RB)
    return Coupling{T,typeof(f),typeof(r)}(f, r, channels_out(layer.RB) ÷ 2, layer.logdet, size(X, N))
end

# `f(point, channel, sample)`, a sample's channels one after the other; adds up what it gives for each sample.
@inline function each_element(f::F, c::Coupling, X, group) where {F}
    for n in group, j in 1:c.channels
        @inbounds @simd ivdep for i in axes(X, 1)
            f(i, j, n)
        end
    end
end

# X is coupled where it is.
function couple!(c::Coupling, X, raw, group)
    r, k = c.rectifier, c.channels
    each_element(c, X, group) do i, j, n
        @inbounds begin
            S = scale(c.scale, rectified(r, raw[i, j, n]))
            X[i, j, n] = S * X[i, j, n] + rectified(r, raw[i, k+j, n])
            raw[i, j, n] = S
        end
    end
end

function uncouple!(c::Coupling{T}, Y, raw, group) where {T}
    r, k = c.rectifier, c.channels
    each_element(c, Y, group) do i, j, n
        @inbounds begin
            S = scale(c.scale, rectified(r, raw[i, j, n]))
            Y[i, j, n] = (Y[i, j, n] - rectified(r, raw[i, k+j, n])) / (S + eps(T))
            raw[i, j, n] = S
        end
    end
end

# The coupled lane to what it was before, its gradient likewise, and the gradient of the block's output.
function couple_backward!(c::Coupling{T}, Δ, Y, raw, Δraw, group) where {T}
    r, k, of_log = c.rectifier, c.channels, c.logdet ? one(T) / c.batch : zero(T)
    each_element(c, Y, group) do i, j, n
        @inbounds begin
            first, second, δ = raw[i, j, n], raw[i, k+j, n], Δ[i, j, n]
            x = rectified(r, first)
            S = scale(c.scale, x)
            X = (Y[i, j, n] - rectified(r, second)) / (S + eps(T))
            Y[i, j, n] = X
            Δ[i, j, n] = δ * S
            Δraw[i, j, n] = passed(r, (δ * X - of_log / S) * slope(c.scale, S, x), first)
            Δraw[i, k+j, n] = passed(r, δ, second)
        end
    end
end

# The same for the inverse.
function uncouple_backward!(c::Coupling{T}, Δ, X, raw, Δraw, group) where {T}
    r, k, of_log = c.rectifier, c.channels, c.logdet ? one(T) / c.batch : zero(T)
    each_element(c, X, group) do i, j, n
        @inbounds begin
            first, second = raw[i, j, n], raw[i, k+j, n]
            x = rectified(r, first)
            S = scale(c.scale, x)
            δ = Δ[i, j, n] / (S + eps(T))
            Δ[i, j, n] = δ
            Δraw[i, j, n] = passed(r, (of_log / S - δ * X[i, j, n]) * slope(c.scale, S, x), first)
            Δraw[i, k+j, n] = passed(r, -δ, second)
            X[i, j, n] = S * X[i, j, n] + rectified(r, second)
        end
    end
end

# Of the scales, which `couple!` and `uncouple!` leave in the block's output.
function term_of(c::Coupling{T}, raw) where {T}
    scales = samples(raw)
    is_on(BY_SAMPLE) && return by_sample(view(scales, :, 1:c.channels, :))
    return sum(n -> sum(S -> log(abs(S)), view(scales, :, 1:c.channels, n)), axes(scales, 3)) / c.batch
end

# Layers of a 1x1 convolution and a coupling of its first `k` channels. Their block sees the others, and the condition
# if there is one.

block_inputs(k, X, condition) = (Planes(X, (k+1):size(X, ndims(X) - 1)), map(Planes, condition)...)

# `couple!(Y, raw, group)` couples the first channels of Y, by the block's output.
function coupled_forward(couple!::F, k, X, layer, condition...) where {F}
    Y, R = similar(X), rotation(layer.C, X)
    raw = raw_output(
        block_inputs(k, Y, condition), layer.RB, X;
        before=(scratch, part, group) -> rotate!(Y, X, R, group),
        after=(raw, scratch, part, group) -> couple!(samples(Y), raw, group),
    )
    return Y, raw
end

function coupled_inverse(uncouple!::F, k, Y, layer, condition...) where {F}
    X, R = copy(Y), permutedims(rotation(layer.C, Y))
    raw = raw_output(
        block_inputs(k, X, condition), layer.RB, Y;
        after=function (raw, scratch, part, group)
            uncouple!(samples(X), raw, group)
            rotate_in_place!(X, R, scratch, group)
        end,
    )
    return X, raw
end

# `pull_back!(ΔX, X, raw, Δraw, group)` uncouples X, and sets its gradient and that of the block's output.
function coupled_backward(pull_back!::F, k, ΔY, Y::Array{T}, layer, condition...) where {F,T}
    X, ΔX, R = copy(Y), copy(ΔY), permutedims(rotation(layer.C, Y))
    Δcondition = map(zero, condition)
    of_rotation = [zeros(T, size(R)) for _ in 1:Threads.nthreads()]
    gradients, _ = raw_gradients(
        (raw, Δraw, group) -> pull_back!(samples(ΔX), samples(X), raw, Δraw, group),
        block_inputs(k, ΔX, Δcondition), block_inputs(k, X, condition), layer.RB, Y;
        after=function (scratch, part, group)
            rotate_in_place!(X, R, scratch, group)
            rotate_in_place!(ΔX, R, scratch, group; sum=of_rotation[part], with=X)
        end,
    )
    set_gradients!(layer.RB, gradients)
    add_rotation_gradient!(layer.C, sum(of_rotation), Y)
    return ΔX, X, Δcondition...
end

# The same for the inverse.
function coupled_backward_inv(pull_back!::F, k, ΔX, X::Array{T}, layer, condition...) where {F,T}
    Y, ΔY, R = similar(X), similar(X), rotation(layer.C, X)
    Δcondition = map(zero, condition)
    of_rotation = [zeros(T, size(R)) for _ in 1:Threads.nthreads()]
    gradients, _ = raw_gradients(
        (raw, Δraw, group) -> pull_back!(samples(ΔY), samples(Y), raw, Δraw, group),
        block_inputs(k, ΔY, Δcondition), block_inputs(k, Y, condition), layer.RB, X;
        before=function (scratch, part, group)
            rotate!(Y, X, R, group)
            rotate!(ΔY, ΔX, R, group)
            add_products!(of_rotation[part], ΔX, Y, group)
        end,
    )
    set_gradients!(layer.RB, gradients)
    add_rotation_gradient!(layer.C, sum(of_rotation), X)
    return ΔY, Y, Δcondition...
end

# GLOW's, with or without a condition

function glow_forward(c::Coupling, X, layer, condition...)
    return coupled_forward(c.channels, X, layer, condition...) do Y, raw, group
        couple!(c, Y, samples(raw), group)
    end
end

function glow_inverse(c::Coupling, Y, layer, condition...)
    return coupled_inverse(c.channels, Y, layer, condition...) do X, raw, group
        uncouple!(c, X, samples(raw), group)
    end
end

function glow_backward(c::Coupling, ΔY, Y, layer, condition...)
    return coupled_backward(c.channels, ΔY, Y, layer, condition...) do Δ, X, raw, Δraw, group
        couple_backward!(c, Δ, X, samples(raw), samples(Δraw), group)
    end
end

function glow_backward_inv(c::Coupling, ΔX, X, layer, condition...)
    return coupled_backward_inv(c.channels, ΔX, X, layer, condition...) do Δ, Y, raw, Δraw, group
        uncouple_backward!(c, Δ, Y, samples(raw), samples(Δraw), group)
    end
end

with_logdet(c::Coupling, Y, raw) = c.logdet ? (Y, term_of(c, raw)) : Y

function forward(X::Array{T,N}, layer::CouplingLayerGlow) where {T<:Float,N}
    c = coupling(layer, X)
    isnothing(c) && return invoke(forward, Tuple{AbstractArray{T,N},CouplingLayerGlow}, X, layer)
    return with_logdet(c, glow_forward(c, X, layer)...)
end

function forward(X::Array{T,N}, C::Array{T,N}, layer::ConditionalLayerGlow) where {T<:Float,N}
    c = coupling(layer, X)
    if isnothing(c)
        return invoke(forward, Tuple{AbstractArray{T,N},AbstractArray{T,N},ConditionalLayerGlow}, X, C, layer)
    end
    return with_logdet(c, glow_forward(c, X, layer, C)...)
end

function inverse(Y::Array{T,N}, layer::CouplingLayerGlow; save=false) where {T<:Float,N}
    c = coupling(layer, Y)
    if isnothing(c) || save
        return invoke(inverse, Tuple{AbstractArray{T,N},CouplingLayerGlow}, Y, layer; save)
    end
    return glow_inverse(c, Y, layer)[1]
end

function inverse(Y::Array{T,N}, C::Array{T,N}, layer::ConditionalLayerGlow; save=false) where {T<:Float,N}
    c = coupling(layer, Y)
    if isnothing(c) || save
        return invoke(inverse, Tuple{AbstractArray{T,N},AbstractArray{T,N},ConditionalLayerGlow}, Y, C, layer; save)
    end
    return glow_inverse(c, Y, layer, C)[1]
end

function backward(ΔY::Array{T,N}, Y::Array{T,N}, layer::CouplingLayerGlow; set_grad::Bool=true) where {T<:Float,N}
    c = coupling(layer, Y)
    if isnothing(c) || !set_grad
        return invoke(backward, Tuple{AbstractArray{T,N},AbstractArray{T,N},CouplingLayerGlow}, ΔY, Y, layer; set_grad)
    end
    return glow_backward(c, ΔY, Y, layer)
end

function backward(ΔY::Array{T,N}, Y::Array{T,N}, C::Array{T,N}, layer::ConditionalLayerGlow) where {T<:Float,N}
    c = coupling(layer, Y)
    if isnothing(c)
        arguments = Tuple{AbstractArray{T,N},AbstractArray{T,N},AbstractArray{T,N},ConditionalLayerGlow}
        return invoke(backward, arguments, ΔY, Y, C, layer)
    end
    return glow_backward(c, ΔY, Y, layer, C)
end

# HINT's, whose lanes are arrays of their own: the first is seen, the second coupled.

function forward(X1::Array{T,N}, X2::Array{T,N}, layer::CouplingLayerBasic; save::Bool=false, logdet=nothing) where {T<:Float,N}
    c = coupling(layer, X1)
    if isnothing(c) || save
        return invoke(forward, Tuple{AbstractArray{T,N},AbstractArray{T,N},CouplingLayerBasic}, X1, X2, layer; save, logdet)
    end
    Y2 = copy(X2)
    after(raw, scratch, part, group) = couple!(c, samples(Y2), samples(raw), group)
    raw = raw_output((Planes(X1),), layer.RB, X1; after)
    return something(logdet, layer.logdet && !layer.is_reversed) ? (X1, Y2, term_of(c, raw)) : (X1, Y2)
end

function inverse(Y1::Array{T,N}, Y2::Array{T,N}, layer::CouplingLayerBasic; save::Bool=false, logdet=nothing) where {T<:Float,N}
    c = coupling(layer, Y1)
    if isnothing(c) || save
        return invoke(inverse, Tuple{AbstractArray{T,N},AbstractArray{T,N},CouplingLayerBasic}, Y1, Y2, layer; save, logdet)
    end
    X2 = copy(Y2)
    after(raw, scratch, part, group) = uncouple!(c, samples(X2), samples(raw), group)
    raw = raw_output((Planes(Y1),), layer.RB, Y1; after)
    return something(logdet, layer.logdet && layer.is_reversed) ? (Y1, X2, -term_of(c, raw)) : (Y1, X2)
end

function backward(
    ΔY1::Array{T,N}, ΔY2::Array{T,N}, Y1::Array{T,N}, Y2::Array{T,N}, layer::CouplingLayerBasic; set_grad::Bool=true
) where {T<:Float,N}
    c = coupling(layer, Y1)
    if isnothing(c) || !set_grad
        arguments = Tuple{ntuple(_ -> AbstractArray{T,N}, 4)...,CouplingLayerBasic}
        return invoke(backward, arguments, ΔY1, ΔY2, Y1, Y2, layer; set_grad)
    end
    return basic_gradient(couple_backward!, c, ΔY1, ΔY2, Y1, Y2, layer)
end

function backward_inv(
    ΔX1::Array{T,N}, ΔX2::Array{T,N}, X1::Array{T,N}, X2::Array{T,N}, layer::CouplingLayerBasic; set_grad::Bool=true
) where {T<:Float,N}
    c = coupling(layer, X1)
    if isnothing(c) || !set_grad
        arguments = Tuple{ntuple(_ -> AbstractArray{T,N}, 4)...,CouplingLayerBasic}
        return invoke(backward_inv, arguments, ΔX1, ΔX2, X1, X2, layer; set_grad)
    end
    return basic_gradient(uncouple_backward!, c, ΔX1, ΔX2, X1, X2, layer)
end

# `pull_back!` is that of either direction.
function basic_gradient(pull_back!::F, c, Δ1, Δ2, lane1, lane2, layer) where {F}
    Δseen, Δcoupled, coupled = copy(Δ1), copy(Δ2), copy(lane2)
    gradients, _ = raw_gradients((Planes(Δseen),), (Planes(lane1),), layer.RB, lane1) do raw, Δraw, group
        pull_back!(c, samples(Δcoupled), samples(coupled), samples(raw), samples(Δraw), group)
    end
    set_gradients!(layer.RB, gradients)
    return Δseen, Δcoupled, lane1, coupled
end
