# Flows of spline couplings (Durkan et al., 2019, «Neural Spline Flows», https://arxiv.org/abs/1906.04032), which upstream
# has not: the coupling layer, with or without a condition, and its networks.

# The block gives the logits as further channels: of one kind and bin those of all channels, then of the next.
as_logits(raw::Array{T,N}, channels) where {T,N} = reshape(raw, prod(spatial(raw)), channels, :, size(raw, N))

# `f(i, logits, widths, heights)` for each element's index, with its logits and memory for the parts.
function each_spline(f::F, S::Splines{T}, logits, group) where {F,T}
    widths, heights = Vector{T}(undef, S.n_bins), Vector{T}(undef, S.n_bins)
    for n in group, j in axes(logits, 2), i in axes(logits, 1)
        f(CartesianIndex(i, j, n), view(logits, i, j, :, n), widths, heights)
    end
end

# The coupling layer

struct CouplingLayerSpline <: InvertibleNetworks.NeuralNetLayer
    C::Conv1x1
    RB::ResidualBlock
    n_bins::Int
    bound::Float64
    logdet::Bool
end

Flux.@functor CouplingLayerSpline

function CouplingLayerSpline(n_in, n_hidden; n_cond=0, n_bins=8, bound=5.0, freeze_conv=false, logdet=false, kernels...)
    changed = round(Int, n_in / 2)
    n_out = changed * (3n_bins - 1)
    RB = ResidualBlock(n_in - changed + n_cond, n_hidden; n_out, fan=true, kernels...)
    RB.W3.data .= 0  # Then all splines are the identity.
    return CouplingLayerSpline(Conv1x1(n_in; freeze=freeze_conv), RB, n_bins, bound, logdet)
end

Splines{T}(L::CouplingLayerSpline) where {T} = Splines{T}(L.n_bins, L.bound)

coupled(L::CouplingLayerSpline) = channels_out(L.RB) ÷ (3L.n_bins - 1)

# Puts each element through its spline, or through the inverse.
function through!(way::F, S, A, slopes, logits, group) where {F}
    each_spline(S, logits, group) do i, own, widths, heights
        A[i], _, point = way(S, own, widths, heights, A[i])
        slopes[i] = point.slope
    end
end

slopes_like(X::Array{T,N}, L) where {T,N} = Array{T,N}(undef, spatial(X)..., coupled(L), size(X, N))

logdet_of(slopes, L) = L.logdet ? InvertibleNetworks.glow_logdet_forward(slopes) : 0

forward(X::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = with_logdet(L, couple(X, L)...)
forward(X::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = with_logdet(L, couple(X, L, C)...)

with_logdet(L, Y, slopes) = L.logdet ? (Y, logdet_of(slopes, L)) : Y

function couple(X::Array{T}, L, C...) where {T}
    S, k, slopes = Splines{T}(L), coupled(L), slopes_like(X, L)
    Y, _ = coupled_forward(k, X, L, C...) do Y, raw, group
        through!(spline, S, Y, samples(slopes), as_logits(raw, k), group)
    end
    return Y, slopes
end

inverse(Y::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = uncouple(Y, L)[1]
inverse(Y::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = uncouple(Y, L, C)[1]

function uncouple(Y::Array{T}, L::CouplingLayerSpline, C...) where {T}
    S, k, slopes = Splines{T}(L), coupled(L), slopes_like(Y, L)
    X, _ = coupled_inverse(k, Y, L, C...) do X, raw, group
        through!(inverse_spline, S, X, samples(slopes), as_logits(raw, k), group)
    end
    return X, slopes
end

backward(ΔY::Array{T,N}, Y::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = pull_back(ΔY, Y, L)[1:2]
backward(ΔY::Array{T,N}, Y::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} =
    pull_back(ΔY, Y, L, C)

function pull_back(ΔY::Array{T,N}, Y, L, C...) where {T,N}
    S, k, d_log = Splines{T}(L), coupled(L), L.logdet ? -one(T) / size(Y, N) : zero(T)
    return coupled_backward(k, ΔY, Y, L, C...) do Δ, X, raw, Δraw, group
        Δlogits = as_logits(Δraw, k)
        each_spline(S, as_logits(raw, k), group) do i, own, widths, heights
            X[i], bin, point = inverse_spline(S, own, widths, heights, X[i])
            Δ[i] = spline_gradient!(view(Δlogits, i[1], i[2], :, i[3]), S, widths, heights, X[i], Δ[i], d_log, bin, point)
        end
    end
end

inverse_term(Y, L::CouplingLayerSpline) = with_term_of(L, uncouple(Y, L)...)
inverse_term(Y, C, L::CouplingLayerSpline) = with_term_of(L, uncouple(Y, L, C)...)

with_term_of(L, X, slopes) = X, logdet_of(slopes, L)

backward_inv(ΔX::Array{T,N}, X::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = pull_back_inv(ΔX, X, L)[1:2]
backward_inv(ΔX::Array{T,N}, X::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} =
    pull_back_inv(ΔX, X, L, C)

# Of `X1 = spline^-1(Y1)`, after the gradient of the convolution's inverse.
function pull_back_inv(ΔX::Array{T,N}, X, L, C...) where {T,N}
    S, k, d_log = Splines{T}(L), coupled(L), L.logdet ? one(T) / size(X, N) : zero(T)
    return coupled_backward_inv(k, ΔX, X, L, C...) do Δ, Y, raw, Δraw, group
        Δlogits = as_logits(Δraw, k)
        each_spline(S, as_logits(raw, k), group) do i, own, widths, heights
            x = Y[i]
            Y[i], bin, point = spline(S, own, widths, heights, x)
            Δ[i] = (Δ[i] + in_square(S, x, bin, point, d_log)) / point.slope
            spline_gradient!(view(Δlogits, i[1], i[2], :, i[3]), S, widths, heights, x, -Δ[i], d_log, bin, point)
        end
    end
end

# The networks: GLOW's, with other couplings.

struct NetworkSpline <: InvertibleNetworks.InvertibleNetwork
    AN::Matrix{ActNorm}
    CL::Matrix{CouplingLayerSpline}
    Z_dims::Union{Vector{Array},Nothing}
    L::Int
    K::Int
    squeezer::Squeezer
    split_scales::Bool
    logdet::Bool
end

struct NetworkConditionalSpline <: InvertibleNetworks.InvertibleNetwork
    AN::Matrix{ActNorm}
    AN_C::ActNorm
    CL::Matrix{CouplingLayerSpline}
    Z_dims::Union{Vector{Array},Nothing}
    L::Int
    K::Int
    squeezer::Squeezer
    split_scales::Bool
end

Flux.@functor NetworkSpline
Flux.@functor NetworkConditionalSpline

# The ActNorms and couplings of all steps.
function spline_steps(n_in, n_cond, n_hidden, L, K; logdet, split_scales, ndims, options...)
    AN, CL = Matrix{ActNorm}(undef, L, K), Matrix{CouplingLayerSpline}(undef, L, K)
    for i in 1:L
        split_scales && (n_in *= 2^ndims; n_cond *= 2^ndims)
        for j in 1:K
            AN[i, j] = ActNorm(n_in; logdet)
            CL[i, j] = CouplingLayerSpline(n_in, n_hidden; n_cond, logdet, ndims, options...)
        end
        split_scales && i < L && (n_in ÷= 2)
    end
    return AN, CL
end

places(count) = Array[[1, 1] for _ in 1:count]

function NetworkSpline(n_in, n_hidden, L, K; logdet=true, split_scales=false, ndims=2, squeezer=ShuffleLayer(), options...)
    split_scales |= n_in == 1
    AN, CL = spline_steps(n_in, 0, n_hidden, L, K; logdet, split_scales, ndims, options...)
    sizes = split_scales ? places(max(L - 1, 1)) : nothing
    return NetworkSpline(AN, CL, sizes, L, K, squeezer, split_scales, logdet)
end

function NetworkConditionalSpline(n_in, n_cond, n_hidden, L, K; split_scales=false, ndims=2, squeezer=ShuffleLayer(), options...)
    AN, CL = spline_steps(n_in, n_cond, n_hidden, L, K; logdet=true, split_scales, ndims, options...)
    AN_C = ActNorm(n_cond; logdet=false)
    return NetworkConditionalSpline(AN, AN_C, CL, split_scales ? places(L - 1) : nothing, L, K, squeezer, split_scales)
end

squeezer_of(G) = G.split_scales ? G.squeezer : UNSQUEEZED

with_term(results::Tuple) = results
with_term(X) = (X, 0)

function forward(X::Array{T,N}, G::NetworkSpline) where {T<:Float,N}
    left, total = Array{T,N}[], 0
    for i in 1:G.L
        X = squeezer_of(G).forward(X)
        for (norm, layer) in steps(G, i)
            X, term = with_term(forward(X, norm))
            X, term_layer = with_term(forward(X, layer))
            total += term + term_layer
            keep!(layer, X)
        end
        splits_after(G, i) && (X = leave!(left, X))
    end
    G.split_scales && (X = InvertibleNetworks.cat_states(left, X))
    return G.logdet ? (X, total) : X
end

inverse(Z::Array{T}, G::NetworkSpline) where {T<:Float} = inverse_term(Z, G)[1]

function backward(ΔZ::Array{T}, Z::Array{T}, G::NetworkSpline) where {T<:Float}
    return up((i, ΔX, X) -> (backward_steps(steps(G, i), ΔX, X)..., 0), G, ΔZ, Z)[1:2]
end

function backward_steps(steps, ΔX, X)
    for (norm, layer) in reverse(collect(steps))
        ΔX, X = backward(backward(restored(layer, ΔX, X)..., layer)..., norm)
    end
    return ΔX, X
end

function forward(X::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    shape, left, total = size(X), Array{T,N}[], 0
    C = forward(C, G.AN_C)
    for i in 1:G.L
        X, C = map(squeezer_of(G).forward, (X, C))
        for j in 1:G.K
            X, term = forward(X, G.AN[i, j])
            X, term_layer = forward(X, C, G.CL[i, j])
            total += term + term_layer
            keep!(G.CL[i, j], X)
        end
        splits_after(G, i) && (X = leave!(left, X))
    end
    G.split_scales && (X = reshape(InvertibleNetworks.cat_states(left, X), shape))
    return X, C, total
end

parts_or_all(G, Z) = G.split_scales ? parts_of_image(G, Z) : (nothing, Z)

function inverse(Z::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    left, X = parts_or_all(G, Z)
    for i in G.L:-1:1
        splits_after(G, i) && (X = tensor_cat(X, left[i]))
        for j in G.K:-1:1
            X = inverse(inverse(X, C, G.CL[i, j]), G.AN[i, j]; logdet=false)
        end
        X, C = map(squeezer_of(G).inverse, (X, C))
    end
    return X
end

function backward(ΔZ::Array{T,N}, Z::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    (Δleft, ΔX), (left, X) = parts_or_all(G, ΔZ), parts_or_all(G, Z)
    ΔC = zero(C)
    for i in G.L:-1:1
        splits_after(G, i) && ((ΔX, X) = (tensor_cat(ΔX, Δleft[i]), tensor_cat(X, left[i])))
        for j in G.K:-1:1
            ΔX, X, Δ = backward(restored(G.CL[i, j], ΔX, X)..., C, G.CL[i, j])
            ΔX, X = backward(ΔX, X, G.AN[i, j])
            ΔC .+= Δ
        end
        ΔX, X, ΔC, C = map(squeezer_of(G).inverse, (ΔX, X, ΔC, C))
    end
    return ΔX, X, backward(ΔC, C, G.AN_C)[1]
end

# What is the same for GLOW and for splines, when they run the other way.
const GlowNetwork = Union{NetworkGlow,NetworkSpline}
const ConditionalGlowNetwork = Union{NetworkConditionalGlow,NetworkConditionalSpline}
