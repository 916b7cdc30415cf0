# Conv1x1: each sample is a matrix of pixels by channels, multiplied from the right by three reflections. Upstream loops
# over the samples and, in the gradient, over channels and samples, allocating at each step; here are a few products.
#
# The methods are for dense arrays, those of a GPU included, whose own part is in device.jl.

reflection(v) = I - (2 / dot(v, v)) * v * v'
vectors(C::Conv1x1, ::Array{T}) where {T} = map(p -> p.data::Vector{T}, (C.v1, C.v2, C.v3))
rotation(C::Conv1x1, X) = *(map(reflection, vectors(C, X))...)

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

multiply_each(X::Array, R) = (Y = similar(X); rotate!(Y, X, R, axes(X, ndims(X))); Y)

function sum_products(X::Array{T}, Y::Array{T}) where {T}
    sum = zeros(T, size(X, ndims(X) - 1), size(Y, ndims(Y) - 1))
    add_products!(sum, X, Y, axes(X, ndims(X)))
    return sum
end

# Of a group of samples, which for images of one pixel is one matrix.

function rotate!(Y::Array, X::Array, R, group)
    isonepixel(X) && return mul!(view(onepixel(Y), :, group), R', view(onepixel(X), :, group))
    y, x = samples(Y), samples(X)
    for n in group
        mul!(view(y, :, :, n), view(x, :, :, n), R)
    end
end

# Adds to `sum` the products of the rotated samples of `with` and what `X` was.
function rotate_in_place!(X::Array{T}, R, scratch, group; sum=nothing, with=nothing) where {T}
    if isonepixel(X)
        x = view(onepixel(X), :, group)
        before = copyto!(matrix!(scratch.rotated, size(x)...), x)
        mul!(x, R', before)
        isnothing(sum) || mul!(sum, view(onepixel(with), :, group), before', one(T), one(T))
        return
    end
    for n in group
        x = view(samples(X), :, :, n)
        before = copyto!(matrix!(scratch.rotated, size(x)...), x)
        mul!(x, before, R)
        isnothing(sum) || mul!(sum, view(samples(with), :, :, n)', before, one(T), one(T))
    end
end

function add_products!(sum, X::Array{T}, Y::Array{T}, group) where {T}
    if isonepixel(X)
        return mul!(sum, view(onepixel(X), :, group), view(onepixel(Y), :, group)', one(T), one(T))
    end
    for n in group
        mul!(sum, view(samples(X), :, :, n)', view(samples(Y), :, :, n), one(T), one(T))
    end
end

function forward(X::Dense{T,N}, C::Conv1x1; logdet=nothing) where {T<:Float,N}
    FAST[] || return invoke(forward, Tuple{AbstractArray{T,N},Conv1x1}, X, C; logdet)
    Y = multiply_channels(X, rotation(C, X))
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
    C.freeze && return map(zero, vectors(C, X))
    return rotation_gradients(C, adjoint ? channel_products(ΔY, X) : channel_products(X, ΔY), X)
end

function rotation_gradients(C::Conv1x1, ΔR, X)
    v1, v2, v3 = vectors(C, X)
    H1, H2, H3 = map(reflection, (v1, v2, v3))
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

# Upstream's gradients of these layers alone add up.
function add_rotation_gradient!(C::Conv1x1, ΔR, X)
    gradients = C.freeze ? map(zero, vectors(C, X)) : rotation_gradients(C, ΔR, X)
    for (p, Δ) in zip((C.v1, C.v2, C.v3), gradients)
        p.grad = isnothing(p.grad) ? Δ : p.grad + Δ
    end
end
