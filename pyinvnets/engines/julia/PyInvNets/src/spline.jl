# Flows of spline couplings (Durkan et al., 2019, «Neural Spline Flows», https://arxiv.org/abs/1906.04032), which upstream
# has not.
#
# A monotonic rational-quadratic spline maps the interval from `-bound` to `bound` onto itself, and is the identity
# outside. The logits of an element's spline are those of the slopes at the inner knots, then of the bins' widths, then
# of their heights.

# The least slope at a knot, and the least width and height of a bin as a part of the interval.
const SMALLEST = 1e-3
# The logit for which a slope is one, less that of zero.
const LOGIT_OF_ONE = log(expm1(1 - SMALLEST))

struct Splines{T}
    n_bins::Int
    bound::T
    unit::T  # What the bins share, beside their least sizes.
end

Splines{T}(n_bins, bound) where {T} = Splines{T}(n_bins, T(bound), T(2bound * (1 - n_bins * SMALLEST)))

# The bin of an element: its number, the knot before it, its size, the softplus of the slopes' logits, and these slopes
# by the steepness.
struct Bin{T}
    index::Int
    x::T
    y::T
    width::T
    height::T
    softplus::NTuple{2,T}
    ratios::NTuple{2,T}
end

steepness(bin) = bin.height / bin.width

# How far through its bin's width an element is, from 0 to 1; how far through its height; the spline's derivative.
struct Point{T}
    left::T
    done::T
    denominator::T
    numerator::T
    rise::T
    slope::T
end

function Point(bin::Bin{T}, done::T) where {T}
    before, behind = bin.ratios
    left = 1 - done
    product = left * done
    denominator = 1 + (before + behind - 2) * product
    numerator = before * left^2 + behind * done^2 + 2product
    rise = (done^2 + before * product) / denominator
    return Point{T}(left, done, denominator, numerator, rise, steepness(bin) * numerator / denominator^2)
end

# The derivative of the slope's logarithm by the part of the way that is done.
function bend(bin, point)
    before, behind = bin.ratios
    left, done = point.left, point.done
    of_numerator = (behind * done - before * left + left - done) / point.numerator
    return 2 * (of_numerator - (before + behind - 2) * (left - done) / point.denominator)
end

# `parts` are the softmax of these logits.
function softmax!(parts, logits)
    highest, total = maximum(logits), zero(eltype(parts))
    for i in eachindex(parts)
        parts[i] = exp(logits[i] - highest)
        total += parts[i]
    end
    parts ./= total
end

function knot(S::Splines{T}, i, sum) where {T}
    return i == S.n_bins ? S.bound : T(i * 2 * S.bound * SMALLEST) - S.bound + S.unit * sum
end

# The number of the bin that a coordinate is in, from the parts of that axis.
function bin_number(S::Splines{T}, parts, coordinate) where {T}
    sum = zero(T)
    for i in 1:(S.n_bins-1)
        sum += parts[i]
        coordinate < knot(S, i, sum) && return i
    end
    return S.n_bins
end

# The knots before and behind a bin.
function edges(S::Splines{T}, parts, index) where {T}
    sum = zero(T)
    for i in 1:(index-1)
        sum += parts[i]
    end
    return knot(S, index - 1, sum), knot(S, index, sum + parts[index])
end

function softplus_of_slope(S::Splines{T}, logits, i) where {T}
    shifted = (i == 0 || i == S.n_bins ? zero(T) : logits[i]) + T(LOGIT_OF_ONE)
    return max(shifted, zero(T)) + log1p(exp(-abs(shifted)))
end

# `widths` and `heights` are set to the parts of all bins; `along` is that of them which the coordinate belongs to.
function bin_of(S::Splines{T}, logits, widths, heights, along, coordinate) where {T}
    n = S.n_bins
    softmax!(widths, view(logits, n:(2n-1)))
    softmax!(heights, view(logits, (2n):(3n-1)))
    index = bin_number(S, along, coordinate)
    x, x_behind = edges(S, widths, index)
    y, y_behind = edges(S, heights, index)
    width, height = x_behind - x, y_behind - y
    softplus = (softplus_of_slope(S, logits, index - 1), softplus_of_slope(S, logits, index))
    return Bin{T}(index, x, y, width, height, softplus, (softplus .+ T(SMALLEST)) .* (width / height))
end

inside(S, value) = clamp(value, -S.bound, S.bound)

function spline(S, logits, widths, heights, x)
    bin = bin_of(S, logits, widths, heights, widths, inside(S, x))
    point = Point(bin, (inside(S, x) - bin.x) / bin.width)
    return bin.y + bin.height * point.rise + (x - inside(S, x)), bin, point
end

# The root of a quadratic equation, by that of its formulas which cancels nothing.
function inverse_spline(S, logits, widths, heights, y)
    bin = bin_of(S, logits, widths, heights, heights, inside(S, y))
    before, behind = bin.ratios
    rise = (inside(S, y) - bin.y) / bin.height
    linear = before - rise * (before + behind - 2)
    root = sqrt(linear^2 + 4 * (1 - linear) * rise) + abs(linear)
    done = linear > 0 ? 2rise / root : root / (2 * (1 - linear))
    point = Point(bin, min(done, one(done)))
    return bin.x + bin.width * point.done + (y - inside(S, y)), bin, point
end

# What is added to the gradient of `x` by `d_log`, that of the slope's logarithm.
in_square(S, x, bin, point, d_log) = abs(x) < S.bound ? d_log * bend(bin, point) / bin.width : zero(x)

# The gradient of `x`; sets those of the logits, from that of the value and of the slope's logarithm.
function spline_gradient!(Δlogits, S::Splines{T}, widths, heights, x, dy, d_log, bin, point) where {T}
    n = S.n_bins
    left, done, rise = point.left, point.done, point.rise
    over = left * done / point.denominator
    of_rise = dy * bin.height * over
    d_ratios = (
        of_rise * (1 - rise) + d_log * (left^2 / point.numerator - 2over),
        -of_rise * rise + d_log * (done^2 / point.numerator - 2over),
    )
    d_x = -dy * point.slope - d_log * bend(bin, point) / bin.width
    d_steepness = d_log - sum(bin.ratios .* d_ratios)  # Times the steepness.
    d_width = d_x * done - d_steepness / bin.width
    d_height = dy * rise + d_steepness / bin.height
    fill!(view(Δlogits, 1:(n-1)), zero(T))
    for (i, d_ratio, softplus) in zip((bin.index - 1, bin.index), d_ratios, bin.softplus)
        1 <= i < n && (Δlogits[i] = d_ratio / steepness(bin) * -expm1(-softplus))
    end
    softmax_gradient!(view(Δlogits, n:(2n-1)), S, widths, bin.index, d_x - d_width, d_width)
    softmax_gradient!(view(Δlogits, (2n):(3n-1)), S, heights, bin.index, dy - d_height, d_height)
    return dy * point.slope + in_square(S, x, bin, point, d_log)
end

# From the gradients of the knots before and behind a bin: a part moves those behind it, and in all they are as much as
# ever.
function softmax_gradient!(Δlogits, S, parts, index, d_before, d_behind)
    mean = zero(eltype(parts))
    for i in eachindex(parts)
        Δlogits[i] = S.unit * ((i < index ? d_before : zero(d_before)) + (i <= index ? d_behind : zero(d_behind)))
        mean += parts[i] * Δlogits[i]
    end
    for i in eachindex(parts)
        Δlogits[i] = parts[i] * (Δlogits[i] - mean)
    end
end

# All elements of an array. The block gives the logits as further channels: of one kind and bin those of all channels,
# then of the next.

as_logits(A::Array{T,N}, channels) where {T,N} = reshape(A, prod(size(A)[1:(N-2)]), channels, :, size(A, N))
as_elements(A::Array{T,N}) where {T,N} = reshape(A, prod(size(A)[1:(N-2)]), size(A, N - 1), size(A, N))

const SMALL = 2048  # So many elements are not worth a second thread.

# `f(i, logits, widths, heights)` for each element's index, with its logits and memory for the parts.
function each_spline(f, S::Splines{T}, elements, logits) where {T}
    if length(elements) < SMALL || Threads.nthreads() == 1
        each_spline(f, S, elements, logits, axes(elements, 3))
    else
        parts = Iterators.partition(axes(elements, 3), cld(size(elements, 3), Threads.nthreads()))
        foreach(wait, [Threads.@spawn each_spline(f, S, elements, logits, part) for part in parts])
    end
end

function each_spline(f::F, S::Splines{T}, elements, logits, samples) where {F,T}
    widths, heights = Vector{T}(undef, S.n_bins), Vector{T}(undef, S.n_bins)
    for k in samples, j in axes(elements, 2), i in axes(elements, 1)
        f(CartesianIndex(i, j, k), view(logits, i, j, :, k), widths, heights)
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

joint(X, C...) = reduce(tensor_cat, (X, C...))

# What the splines, or their inverses, make of all elements; and the splines' derivatives there.
function through(way::F, L, A::Array{T}, logits) where {F,T}
    S, B, slopes = Splines{T}(L), similar(A), similar(A)
    a, b, slope = as_elements(A), as_elements(B), as_elements(slopes)
    each_spline(S, a, as_logits(logits, size(a, 2))) do i, own, widths, heights
        b[i], _, point = way(S, own, widths, heights, a[i])
        slope[i] = point.slope
    end
    return B, slopes
end

logdet_of(slopes, L) = L.logdet ? InvertibleNetworks.glow_logdet_forward(slopes) : 0

forward(X::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = with_logdet(L, couple(X, L)...)
forward(X::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = with_logdet(L, couple(X, L, C)...)

with_logdet(L, Y, slopes) = L.logdet ? (Y, logdet_of(slopes, L)) : Y

function couple(X, L, C...)
    X1, X2 = tensor_split(forward(X, L.C; logdet=false))
    logits, _ = block_forward(joint(X2, C...), L.RB; linear=true)
    Y1, slopes = through(spline, L, X1, logits)
    return tensor_cat(Y1, X2), slopes
end

inverse(Y::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = uncouple(Y, L)[1]
inverse(Y::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = uncouple(Y, L, C)[1]

function uncouple(Y, L::CouplingLayerSpline, C...)
    Y1, X2 = tensor_split(Y)
    logits, _ = block_forward(joint(X2, C...), L.RB; linear=true)
    X1, slopes = through(inverse_spline, L, Y1, logits)
    return inverse(tensor_cat(X1, X2), L.C; logdet=false), slopes
end

backward(ΔY::Array{T,N}, Y::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} = pull_back(ΔY, Y, L)[1:2]
backward(ΔY::Array{T,N}, Y::Array{T,N}, C::Array{T,N}, L::CouplingLayerSpline) where {T<:Float,N} =
    pull_back(ΔY, Y, L, C)

function pull_back(ΔY::Array{T,N}, Y, L, C...) where {T,N}
    (Y1, X2), (ΔY1, ΔY2) = tensor_split(Y), tensor_split(ΔY)
    logits, states = block_forward(joint(X2, C...), L.RB; linear=true)
    S, X1, ΔX1, Δlogits = Splines{T}(L), similar(Y1), similar(Y1), similar(logits)
    d_log = L.logdet ? -one(T) / size(Y, N) : zero(T)
    x, y, dx, dy = map(as_elements, (X1, Y1, ΔX1, ΔY1))
    d_own = as_logits(Δlogits, size(y, 2))
    each_spline(S, y, as_logits(logits, size(y, 2))) do i, own, widths, heights
        x[i], bin, point = inverse_spline(S, own, widths, heights, y[i])
        Δ = view(d_own, i[1], i[2], :, i[3])
        dx[i] = spline_gradient!(Δ, S, widths, heights, x[i], dy[i], d_log, bin, point)
    end
    ΔX2, ΔC = through_block(Δlogits, states, L, size(X2, N - 1))
    ΔX2 .+= ΔY2
    return inverse((tensor_cat(ΔX1, ΔX2), tensor_cat(X1, X2)), L.C)[1:2]..., ΔC
end

function through_block(Δlogits, states, L, channels)
    Δ, gradients = block_backward(Δlogits, states, L.RB; linear=true)
    set_gradients!(L.RB, gradients)
    return tensor_split(Δ; split_index=channels)
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

splits_after(G::NetworkSpline, i) = G.split_scales && (i < G.L || G.L == 1)
splits_after(G::NetworkConditionalSpline, i) = G.split_scales && i < G.L
squeezed(G, X) = G.split_scales ? G.squeezer.forward(X) : X
unsqueezed(G, X) = G.split_scales ? G.squeezer.inverse(X) : X

# What leaves after a scale is kept, and its size.
function leave!(G, saved, i, X)
    X, Z = tensor_split(X)
    push!(saved, Z)
    G.Z_dims[i] = collect(size(Z))
    return X
end

cut(G, Z) = InvertibleNetworks.split_states(vec(Z), G.Z_dims; L_net=G.L)

with_term(results::Tuple) = results
with_term(X) = (X, 0)

function forward(X::Array{T,N}, G::NetworkSpline) where {T<:Float,N}
    saved, total = Array{T,N}[], 0
    for i in 1:G.L
        X = squeezed(G, X)
        for j in 1:G.K
            X, term = with_term(forward(X, G.AN[i, j]))
            X, term_coupling = with_term(forward(X, G.CL[i, j]))
            total += term + term_coupling
        end
        splits_after(G, i) && (X = leave!(G, saved, i, X))
    end
    G.split_scales && (X = InvertibleNetworks.cat_states(saved, X))
    return G.logdet ? (X, total) : X
end

function inverse(Z::Array{T}, G::NetworkSpline) where {T<:Float}
    saved, X = G.split_scales ? cut(G, Z) : (nothing, Z)
    for i in G.L:-1:1
        splits_after(G, i) && (X = tensor_cat(X, saved[i]))
        for j in G.K:-1:1
            X = inverse(inverse(X, G.CL[i, j]), G.AN[i, j]; logdet=false)
        end
        X = unsqueezed(G, X)
    end
    return X
end

function backward(ΔZ::Array{T}, Z::Array{T}, G::NetworkSpline) where {T<:Float}
    (Δsaved, ΔX), (saved, X) = G.split_scales ? (cut(G, ΔZ), cut(G, Z)) : ((nothing, ΔZ), (nothing, Z))
    for i in G.L:-1:1
        splits_after(G, i) && ((ΔX, X) = (tensor_cat(ΔX, Δsaved[i]), tensor_cat(X, saved[i])))
        for j in G.K:-1:1
            ΔX, X = backward(backward(ΔX, X, G.CL[i, j])..., G.AN[i, j])
        end
        ΔX, X = unsqueezed(G, ΔX), unsqueezed(G, X)
    end
    return ΔX, X
end

function forward(X::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    shape, saved, total = size(X), Array{T,N}[], 0
    C = forward(C, G.AN_C)
    for i in 1:G.L
        X, C = squeezed(G, X), squeezed(G, C)
        for j in 1:G.K
            X, term = forward(X, G.AN[i, j])
            X, term_coupling = forward(X, C, G.CL[i, j])
            total += term + term_coupling
        end
        splits_after(G, i) && (X = leave!(G, saved, i, X))
    end
    G.split_scales && (X = reshape(InvertibleNetworks.cat_states(saved, X), shape))
    return X, C, total
end

# What the latent of the data's shape holds: what left at each scale, and the rest in its own shape.
function cut_image(G, Z::Array{T,N}, C) where {T,N}
    G.split_scales || return nothing, Z
    isempty(G.Z_dims) && return Array{T,N}[], reshape(Z, size(C)[1:(N-2)]..., :, size(Z, N))
    return cut(G, Z)
end

function inverse(Z::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    saved, X = cut_image(G, Z, C)
    for i in G.L:-1:1
        splits_after(G, i) && (X = tensor_cat(X, saved[i]))
        for j in G.K:-1:1
            X = inverse(inverse(X, C, G.CL[i, j]), G.AN[i, j]; logdet=false)
        end
        X, C = unsqueezed(G, X), unsqueezed(G, C)
    end
    return X
end

function backward(ΔZ::Array{T,N}, Z::Array{T,N}, C::Array{T,N}, G::NetworkConditionalSpline) where {T<:Float,N}
    (Δsaved, ΔX), (saved, X) = cut_image(G, ΔZ, C), cut_image(G, Z, C)
    ΔC = zero(C)
    for i in G.L:-1:1
        splits_after(G, i) && ((ΔX, X) = (tensor_cat(ΔX, Δsaved[i]), tensor_cat(X, saved[i])))
        for j in G.K:-1:1
            ΔX, X, ΔC_step = backward(ΔX, X, C, G.CL[i, j])
            ΔX, X = backward(ΔX, X, G.AN[i, j])
            ΔC .+= ΔC_step
        end
        ΔX, X, ΔC, C = map(A -> unsqueezed(G, A), (ΔX, X, ΔC, C))
    end
    return ΔX, X, backward(ΔC, C, G.AN_C)[1]
end
