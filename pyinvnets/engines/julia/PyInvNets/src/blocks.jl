# ResidualBlock, in groups of samples that fit a core's cache. Of a group come the states, and at once what follows from
# them: a coupling layer inverts itself and takes its gradient before the next group's states take their place.

struct Rectifier end
struct LeakyRectifier end

rectified(::Rectifier, x) = ifelse(x < 0, zero(x), x)
rectified(::LeakyRectifier, x::T) where {T} = ifelse(x < 0, T(0.01) * x, x)
passed(::Rectifier, Δ, x) = ifelse(x < 0, zero(Δ), Δ)
passed(::LeakyRectifier, Δ::T, x) where {T} = ifelse(x < 0, T(0.01) * Δ, Δ)

rectifier(RB::ResidualBlock) = RB.activation.forward === LeakyReLU ? LeakyRectifier() : Rectifier()

struct Block{T,R}
    outer::Convolution
    inner::Convolution
    W1::Matrix{T}
    W2::Matrix{T}
    W3::Matrix{T}
    b1::Vector{T}
    b2::Vector{T}
    rectifier::R
    taps::NTuple{2,Int}
end

# For an image of these spatial axes. Of an image of one pixel only one tap of each kernel meets more than padding.
function Block{T}(image, RB::ResidualBlock) where {T}
    W1, W2, W3 = map(p -> p.data::Array{T,length(image) + 2}, (RB.W1, RB.W2, RB.W3))
    (s1, s2), (p1, p2) = RB.strides, RB.pad
    taps = (only_tap(W1, s1, p1), only_tap(W2, s2, p2))
    if prod(image) == 1 && all(>(0), taps)
        pixel = Convolution(image, image, 1, 0)
        W1, W2, W3 = at_tap(W1, taps[1]), at_tap(W2, taps[2]), at_tap(W3, taps[1])
        return Block(pixel, pixel, W1, W2, W3, biases(RB, T)..., rectifier(RB), taps)
    end
    outer = Convolution(image, size(W1)[1:(end-2)], s1, p1)
    inner = Convolution(grid_of(outer, length(image)), size(W2)[1:(end-2)], s2, p2)
    inner.grid == outer.grid || throw(DimensionMismatch("k2, s2 and p2 must keep an image's size"))
    return Block(outer, inner, map(as_matrix, (W1, W2, W3))..., biases(RB, T)..., rectifier(RB), (0, 0))
end

biases(RB, ::Type{T}) where {T} = (RB.b1.data::Vector{T}, RB.b2.data::Vector{T})

# The tap of a kernel that meets a single pixel; 0 where the output is not a single pixel.
function only_tap(W, stride, padding)
    k = size(W, 1)
    return 0 <= 1 + 2padding - k < stride ? k - padding : 0
end

at_tap(W::Array{T,N}, tap) where {T,N} = W[ntuple(_ -> tap, N - 2)..., :, :]
as_matrix(W::Array) = reshape(W, :, size(W)[end])
grid_of(C::Convolution, axes) = axes == 1 ? C.grid[1:1] : axes == 2 ? C.grid[[1, 3]] : C.grid

# Then the inner convolution is one matrix product.
ispointwise(B::Block) = prod(B.inner.kernel) == 1 && B.inner.padding == (0, 0, 0)

struct Gradients{T}
    W1::Matrix{T}
    W2::Matrix{T}
    W3::Matrix{T}
    b1::Vector{T}
    b2::Vector{T}
end

Gradients(B::Block) = Gradients(zero(B.W1), zero(B.W2), zero(B.W3), zero(B.b1), zero(B.b2))

function add!(sum::Gradients, other::Gradients)
    for field in fieldnames(Gradients)
        getfield(sum, field) .+= getfield(other, field)
    end
    return sum
end

# In the kernels' shapes.
function gradients_of(RB::ResidualBlock, B::Block, sum::Gradients)
    outer, inner = B.taps
    return (
        like(RB.W1.data, sum.W1, outer), like(RB.W2.data, sum.W2, inner), like(RB.W3.data, sum.W3, outer), sum.b1, sum.b2,
    )
end

function like(W::Array{T,N}, Δ::Matrix{T}, tap) where {T,N}
    tap == 0 && return reshape(Δ, size(W))
    whole = zero(W)
    whole[ntuple(_ -> tap, N - 2)..., :, :] = Δ
    return whole
end

function set_gradients!(RB::ResidualBlock, gradients)
    for (p, gradient) in zip((RB.W1, RB.W2, RB.W3, RB.b1, RB.b2), gradients)
        p.grad = gradient
    end
end

# Bands of lines, and their rows, that the matrices of a group are made in.
function bands(C::Convolution, group)
    n1, n2, n3 = C.grid
    length(group) * points(C) <= ROWS && return [(1:n3, 1:(length(group)*points(C)))]
    lines = Iterators.partition(1:n3, max(1, ROWS ÷ (n1 * n2)))
    return [(l, ((first(l)-1)*n1*n2+1):(last(l)*n1*n2)) for l in lines]
end

# What a group's states are kept in: for its inner convolution all rows of it, or a band's, one after the other.
rows_in(B::Block, rows) = ispointwise(B) ? (1:length(rows)) : rows

function held(memory, B::Block, group)
    all = length(group) * points(B.outer)
    return matrix!(memory, ispointwise(B) ? maximum(length ∘ last, bands(B.outer, group)) : all, length(B.b1))
end

# Both states, before they are rectified.
function states!(s::Scratch, B::Block, group)
    rows = length(group) * points(B.outer)
    return matrix!(s.first, rows, length(B.b1)), matrix!(s.second, rows, length(B.b2))
end

# Adds the output of a group, before its last activation, to `output`.
function block_forward!(output::Planes{T}, sources, B::Block{T}, s::Scratch{T}, group) where {T}
    Y1, Y2 = states!(s, B, group)
    A = held(s.rectified, B, group)
    for (lines, rows) in bands(B.outer, group)
        columns = matrix!(s.columns, length(rows), size(B.W1, 1))
        gather!(columns, sources, B.outer, group, lines)
        y, a = view(Y1, rows, :), view(A, rows_in(B, rows), :)
        mul!(y, columns, B.W1)
        add_bias!(y, a, B.b1, B.rectifier)
        if ispointwise(B)
            y = view(Y2, rows, :)
            mul!(y, a, B.W2)
            add_residual!(y, a, B.b2)
            last_forward!(output, y, a, B, s, group, lines)
        end
    end
    ispointwise(B) && return
    for (lines, rows) in bands(B.outer, group)
        columns = matrix!(s.columns, length(rows), size(B.W2, 1))
        gather!(columns, (by_points(A, points(B.inner)),), B.inner, eachindex(group), lines)
        y = view(Y2, rows, :)
        mul!(y, columns, B.W2)
        add_residual!(y, view(A, rows, :), B.b2)
    end
    for (lines, rows) in bands(B.outer, group)
        last_forward!(output, view(Y2, rows, :), view(A, rows, :), B, s, group, lines)
    end
end

function last_forward!(output, y, a, B, s, group, lines)
    rectify!(a, y, B.rectifier)
    columns = matrix!(s.columns, size(y, 1), size(B.W3, 1))
    mul!(columns, a, B.W3')
    scatter!((output,), columns, B.outer, group, lines)
end

# From the states of `block_forward!` and the gradient of the output: adds the sources' gradients to `targets`.
function block_backward!(targets, Δoutput::Planes{T}, sources, B::Block{T}, s::Scratch{T}, sum::Gradients{T}, group) where {T}
    Y1, Y2 = states!(s, B, group)
    A, Δ2 = held(s.rectified, B, group), held(s.of_second, B, group)
    Δ1 = held(s.of_first, B, group)
    for (lines, rows) in bands(B.outer, group)
        columns = matrix!(s.columns, length(rows), size(B.W3, 1))
        gather!(columns, (Δoutput,), B.outer, group, lines)
        a, δ2 = view(A, rows_in(B, rows), :), view(Δ2, rows_in(B, rows), :)
        mul!(δ2, columns, B.W3)
        pass!(δ2, a, view(Y2, rows, :), sum.b2, B.rectifier)
        mul!(sum.W3, columns', a, one(T), one(T))
        if ispointwise(B)
            y, δ1 = view(Y1, rows, :), view(Δ1, rows_in(B, rows), :)
            rectify!(a, y, B.rectifier)
            mul!(sum.W2, a', δ2, one(T), one(T))
            mul!(δ1, δ2, B.W2')
            first_backward!(targets, δ1, δ2, y, sources, B, s, sum, group, lines)
        end
    end
    ispointwise(B) && return
    rectify!(A, Y1, B.rectifier)
    fill!(Δ1, zero(T))
    for (lines, rows) in bands(B.outer, group)
        columns, δ2 = matrix!(s.columns, length(rows), size(B.W2, 1)), view(Δ2, rows, :)
        gather!(columns, (by_points(A, points(B.inner)),), B.inner, eachindex(group), lines)
        mul!(sum.W2, columns', δ2, one(T), one(T))
        mul!(columns, δ2, B.W2')
        scatter!((by_points(Δ1, points(B.inner)),), columns, B.inner, eachindex(group), lines)
    end
    for (lines, rows) in bands(B.outer, group)
        first_backward!(targets, view(Δ1, rows, :), view(Δ2, rows, :), view(Y1, rows, :), sources, B, s, sum, group, lines)
    end
end

function first_backward!(targets, δ1, δ2, y, sources, B::Block{T}, s, sum, group, lines) where {T}
    pass_residual!(δ1, δ2, y, sum.b1, B.rectifier)
    columns = matrix!(s.columns, size(y, 1), size(B.W1, 1))
    gather!(columns, sources, B.outer, group, lines)
    mul!(sum.W1, columns', δ1, one(T), one(T))
    mul!(columns, δ1, B.W1')
    scatter!(targets, columns, B.outer, group, lines)
end

# The loops between the products, each over its matrices once.

function add_bias!(y, a, b, r)
    for j in axes(y, 2)
        bj = b[j]
        @inbounds @simd for i in axes(y, 1)
            v = y[i, j] + bj
            y[i, j] = v
            a[i, j] = rectified(r, v)
        end
    end
end

function add_residual!(y, a, b)
    for j in axes(y, 2)
        bj = b[j]
        @inbounds @simd for i in axes(y, 1)
            y[i, j] += a[i, j] + bj
        end
    end
end

function rectify!(a, y, r)
    for j in axes(y, 2)
        @inbounds @simd for i in axes(y, 1)
            a[i, j] = rectified(r, y[i, j])
        end
    end
end

function pass!(δ, a, y, sum, r)
    for j in axes(y, 2)
        total = zero(eltype(δ))
        @inbounds @simd for i in axes(y, 1)
            v = y[i, j]
            d = passed(r, δ[i, j], v)
            a[i, j] = rectified(r, v)
            δ[i, j] = d
            total += d
        end
        sum[j] += total
    end
end

function pass_residual!(δ1, δ2, y, sum, r)
    for j in axes(y, 2)
        total = zero(eltype(δ1))
        @inbounds @simd for i in axes(y, 1)
            d = passed(r, δ1[i, j] + δ2[i, j], y[i, j])
            δ1[i, j] = d
            total += d
        end
        sum[j] += total
    end
end

# A whole batch. `before` may make a group's input, `after` follows on its output.

nothing_to_do(scratch, part, group) = nothing

spatial(X::Array{T,N}) where {T,N} = size(X)[1:(N-2)]

# The output before its last activation.
function raw_output(sources, RB::ResidualBlock, X::Array{T,N}; before=nothing_to_do, after=(o, x...) -> nothing) where {T,N}
    B, batch = Block{T}(spatial(X), RB), size(X, N)
    return raw_output(sources, B, X, channels_out(RB), batch, before, after)
end

channels_out(RB) = size(RB.W3.data)[end-1]

function raw_output(sources, B::Block{T}, X::Array{T,N}, channels, batch, before::F, after::G) where {T,N,F,G}
    output = zeros(T, spatial(X)..., channels, batch)
    into = Planes(output)
    in_groups(T, batch, points(B.outer), number_of_parts(batch, points(B.outer))) do scratch, part, group
        before(scratch, part, group)
        block_forward!(into, sources, B, scratch, group)
        after(output, scratch, part, group)
    end
    return output
end

# `between(output, Δoutput, group)` sets the gradient of a group's output, before the last activation. The sources'
# gradients are added to `targets`; returns the parameters', and the output.
function raw_gradients(between::F, targets, sources, RB::ResidualBlock, X::Array{T,N}; before=nothing_to_do, after=nothing_to_do) where {F,T,N}
    B = Block{T}(spatial(X), RB)
    sum, output = raw_gradients(between, targets, sources, B, X, channels_out(RB), before, after)
    return gradients_of(RB, B, sum), output
end

function raw_gradients(between::F, targets, sources, B::Block{T}, X::Array{T,N}, channels, before::G, after::H) where {F,G,H,T,N}
    batch = size(X, N)
    output, Δoutput = zeros(T, spatial(X)..., channels, batch), Array{T,N}(undef, spatial(X)..., channels, batch)
    into, from = Planes(output), Planes(Δoutput)
    parts = number_of_parts(batch, points(B.outer))
    sums = [Gradients(B) for _ in 1:parts]
    in_groups(T, batch, points(B.outer), parts) do scratch, part, group
        before(scratch, part, group)
        block_forward!(into, sources, B, scratch, group)
        between(output, Δoutput, group)
        block_backward!(targets, from, sources, B, scratch, sums[part], group)
        after(scratch, part, group)
    end
    return reduce(add!, sums), output
end

# The block by itself

of_samples(X::Array{T,N}, group) where {T,N} = view(X, ntuple(_ -> :, N - 1)..., group)

activated(RB, Y3) = RB.fan ? RB.activation.forward(Y3) : InvertibleNetworks.GaLU(Y3)
activation_gradient(RB, Δ, Y3) = RB.fan ? RB.activation.backward(Δ, Y3) : InvertibleNetworks.GaLUgrad(Δ, Y3)

function forward(X::Array{T,N}, RB::ResidualBlock; save=false) where {T<:Float,N}
    FAST[] && !save || return invoke(forward, Tuple{AbstractArray{T,N},ResidualBlock}, X, RB; save)
    return activated(RB, raw_output((Planes(X),), RB, X))
end

function backward(ΔX4::Array{T,N}, X::Array{T,N}, RB::ResidualBlock; set_grad::Bool=true) where {T<:Float,N}
    if !FAST[]
        return invoke(backward, Tuple{AbstractArray{T,N},AbstractArray{T,N},ResidualBlock}, ΔX4, X, RB; set_grad)
    end
    ΔX, gradients, _ = block_gradients(ΔX4, X, RB)
    set_grad || return ΔX, [Parameter(g) for g in gradients]
    set_gradients!(RB, gradients)
    return ΔX
end

# The input's gradient, the parameters', and the output before its last activation.
function block_gradients(ΔX4, X, RB)
    ΔX = zero(X)
    gradients, output = raw_gradients((Planes(ΔX),), (Planes(X),), RB, X) do Y3, Δ3, group
        of_samples(Δ3, group) .= activation_gradient(RB, of_samples(ΔX4, group), of_samples(Y3, group))
    end
    return ΔX, gradients, output
end

# What a block gives, and the gradient of its input; sets those of its parameters.
forward_and_backward(ΔY, X, block) = forward(X, block), backward(ΔY, X, block)

function forward_and_backward(ΔY::Array{T,N}, X::Array{T,N}, RB::ResidualBlock) where {T<:Float,N}
    FAST[] || return invoke(forward_and_backward, Tuple{Any,Any,Any}, ΔY, X, RB)
    ΔX, gradients, output = block_gradients(ΔY, X, RB)
    set_gradients!(RB, gradients)
    return activated(RB, output), ΔX
end
