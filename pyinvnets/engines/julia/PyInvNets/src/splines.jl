# Monotonic rational-quadratic splines (Durkan et al., 2019, «Neural Spline Flows», https://arxiv.org/abs/1906.04032).
#
# Such a spline maps the interval from `-bound` to `bound` onto itself, and is the identity
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
