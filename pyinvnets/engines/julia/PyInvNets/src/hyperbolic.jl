# HyperbolicLayer: a convolution, a rectifier and the transposed convolution, in groups of samples.

struct Force{T}
    convolution::Convolution
    W::Matrix{T}
    b::Vector{T}
    α::T
end

function Force(X::Array{T,N}, layer::HyperbolicLayer) where {T,N}
    W = layer.W.data::Array{T,N}
    C = Convolution(spatial(X), size(W)[1:(N-2)], layer.stride, layer.pad)
    return Force{T}(C, as_matrix(W), layer.b.data, layer.α)
end

function each_band(f, force::Force{T}, batch; parts=number_of_parts(batch, points(force.convolution))) where {T}
    C = force.convolution
    in_groups(T, batch, points(C), parts) do scratch, part, group
        foreach(((lines, rows),) -> f(scratch, part, group, lines, length(rows)), bands(C, group))
    end
end

# What the convolution gives of some rows, and that rectified.
function pushed!(force, source, s, group, lines, rows)
    columns = matrix!(s.columns, rows, size(force.W, 1))
    gather!(columns, (source,), force.convolution, group, lines)
    y, a = matrix!(s.first, rows, length(force.b)), matrix!(s.rectified, rows, length(force.b))
    mul!(y, columns, force.W)
    add_bias!(y, a, force.b, Rectifier())
    return y, a
end

function transposed!(target, force, a, s, group, lines, factor)
    columns = matrix!(s.columns, size(a, 1), size(force.W, 1))
    mul!(columns, a, force.W', factor, zero(factor))
    scatter!((target,), columns, force.convolution, group, lines)
end

# The next state from the last two, in either direction of time.
function stepped(X_before::Array{T,N}, X::Array{T,N}, layer::HyperbolicLayer) where {T,N}
    force, X_next = Force(X, layer), 2 .* X .- X_before
    each_band(force, size(X, N)) do scratch, part, group, lines, rows
        _, a = pushed!(force, Planes(X), scratch, group, lines, rows)
        transposed!(Planes(X_next), force, a, scratch, group, lines, -force.α)
    end
    return X_next
end

function forward(X_prev::Array{T,N}, X_curr::Array{T,N}, layer::HyperbolicLayer) where {T<:Float,N}
    if !FAST[]
        return invoke(forward, Tuple{AbstractArray{T,N},AbstractArray{T,N},HyperbolicLayer}, X_prev, X_curr, layer)
    end
    X_prev, X_curr = resized(layer.action, X_prev), resized(layer.action, X_curr)
    return X_curr, stepped(X_prev, X_curr, layer)
end

function inverse(X_curr::Array{T,N}, X_new::Array{T,N}, layer::HyperbolicLayer; save=false) where {T<:Float,N}
    if !FAST[] || save
        return invoke(inverse, Tuple{AbstractArray{T,N},AbstractArray{T,N},HyperbolicLayer}, X_curr, X_new, layer; save)
    end
    return resized(-layer.action, stepped(X_new, X_curr, layer)), resized(-layer.action, X_curr)
end

function backward(
    ΔX_curr::Array{T,N}, ΔX_new::Array{T,N}, X_curr::Array{T,N}, X_new::Array{T,N}, layer::HyperbolicLayer; set_grad::Bool=true
) where {T<:Float,N}
    if !FAST[] || !set_grad
        arguments = Tuple{ntuple(_ -> AbstractArray{T,N}, 4)...,HyperbolicLayer}
        return invoke(backward, arguments, ΔX_curr, ΔX_new, X_curr, X_new, layer; set_grad)
    end
    force, batch = Force(X_curr, layer), size(X_curr, N)
    X_prev, Δ_curr = 2 .* X_curr .- X_new, ΔX_curr .+ 2 .* ΔX_new
    parts = number_of_parts(batch, points(force.convolution))
    sums = [(zero(force.W), zero(force.b)) for _ in 1:parts]
    each_band(force, batch; parts) do s, part, group, lines, rows
        of_W, of_b = sums[part]
        y, a = pushed!(force, Planes(X_curr), s, group, lines, rows)
        transposed!(Planes(X_prev), force, a, s, group, lines, -force.α)
        columns, δ = matrix!(s.columns, rows, size(force.W, 1)), matrix!(s.of_first, rows, length(force.b))
        gather!(columns, (Planes(ΔX_new),), force.convolution, group, lines)
        mul!(of_W, columns', a, -force.α, one(T))
        mul!(δ, columns, force.W, -force.α, zero(T))
        pass!(δ, a, y, of_b, Rectifier())
        gather!(columns, (Planes(X_curr),), force.convolution, group, lines)
        mul!(of_W, columns', δ, one(T), one(T))
        transposed!(Planes(Δ_curr), force, δ, s, group, lines, one(T))
    end
    layer.W.grad, layer.b.grad = reshape(sum(first, sums), size(layer.W.data)), sum(last, sums)
    return map(A -> resized(-layer.action, A), (.-ΔX_new, Δ_curr, X_prev, X_curr))
end
