# ActNorm in one pass over the array, in the order of memory.

# `f(x, s, b)` of each element and its channel's scale and shift.
function each_plane(f::F, Y::Array{T}, X::Array{T}, layer::ActNorm) where {F,T}
    s, b = layer.s.data::Vector{T}, layer.b.data::Vector{T}
    y, x = samples(Y), samples(X)
    for n in axes(x, 3), j in axes(x, 2)
        sj, bj = s[j], b[j]
        @inbounds @simd for i in axes(x, 1)
            y[i, j, n] = f(x[i, j, n], sj, bj)
        end
    end
    return Y
end

ready(layer::ActNorm) = FAST[] && !isnothing(layer.s.data)

log_scales(X::Array{T,N}, layer) where {T,N} = InvertibleNetworks.logdet_forward(size(X)[1:(N-2)]..., layer.s)

function forward(X::Array{T,N}, layer::ActNorm; logdet=nothing) where {T<:Float,N}
    ready(layer) || return invoke(forward, Tuple{AbstractArray{T,N},ActNorm}, X, layer; logdet)
    Y = each_plane((x, s, b) -> x * s + b, similar(X), X, layer)
    return something(logdet, layer.logdet && !layer.is_reversed) ? (Y, log_scales(X, layer)) : Y
end

function inverse(Y::Array{T,N}, layer::ActNorm; logdet=nothing) where {T<:Float,N}
    ready(layer) || return invoke(inverse, Tuple{AbstractArray{T,N},ActNorm}, Y, layer; logdet)
    X = each_plane((y, s, b) -> (y - b) / s, similar(Y), Y, layer)
    return something(logdet, layer.logdet && layer.is_reversed) ? (X, -log_scales(Y, layer)) : X
end

function backward(ΔY::Array{T,N}, Y::Array{T,N}, layer::ActNorm; set_grad::Bool=true) where {T<:Float,N}
    if !ready(layer) || !set_grad
        return invoke(backward, Tuple{AbstractArray{T,N},AbstractArray{T,N},ActNorm}, ΔY, Y, layer; set_grad)
    end
    s, b = layer.s.data::Vector{T}, layer.b.data::Vector{T}
    X, ΔX, Δs, Δb = similar(Y), similar(Y), zero(s), zero(b)
    x, δx, y, δy = samples(X), samples(ΔX), samples(Y), samples(ΔY)
    for n in axes(x, 3), j in axes(x, 2)
        sj, bj, of_s, of_b = s[j], b[j], zero(T), zero(T)
        @inbounds @simd for i in axes(x, 1)
            δ, value = δy[i, j, n], (y[i, j, n] - bj) / sj
            x[i, j, n] = value
            δx[i, j, n] = δ * sj
            of_s += δ * value
            of_b += δ
        end
        Δs[j] += of_s
        Δb[j] += of_b
    end
    layer.logdet && (Δs .-= InvertibleNetworks.logdet_backward(spatial(Y)..., layer.s))
    layer.s.grad, layer.b.grad = Δs, Δb
    return ΔX, X
end
