# Flux's optimisers (src/optimise/optimisers.jl) over many parameters in one call, without allocating. As there, the
# arithmetic is in Float64, and each intermediate array is rounded to the parameter's type. Their state is NumPy's, in
# vectors over all parameters, borrowed for the one call.

without_gradient(handle, indices) = [handle.names[i] for i in indices if isnothing(handle.params[i].grad)]
without_gradient(handle, ::Nothing) = without_gradient(handle, eachindex(handle.params))

# Each of the parameters, with its number and its part of the vectors. All are looked at before the first is updated.
function slices(handle, indices)
    foreach(i -> check_gradient(handle, i), something(indices, eachindex(handle.params)))
    stops = cumsum(prod.(handle.shapes))
    part(i) = (stops[i]-prod(handle.shapes[i])+1):stops[i]
    return ((i, handle.params[i], part(i)) for i in something(indices, eachindex(stops)))
end

function check_gradient(handle, i)
    p, shape = handle.params[i], handle.shapes[i]
    size(p.data) == size(p.grad) == shape && eltype(p.data) == eltype(p.grad) && return nothing
    found = "$(summary(p.data)), and its gradient $(summary(p.grad))"
    return error("$(handle.names[i]) has the shape $shape, but its value is a $found; call backward again, or load weights")
end

# Adam, and after it WeightDecay. `powers` is the address of a pair for each parameter: the decays to the power of the
# updates made, which are multiplied up as in Flux.
function adam!(handle, double::Bool, description, powers, numbers...)
    return adam_each!(handle, borrow(double, description, 2), powers, numbers...)
end

function adam_each!(handle, (m, v), powers, indices, η, β1, β2, ϵ, λ)
    βp = unsafe_wrap(Array, Ptr{NTuple{2,Float64}}(powers), length(handle.params))
    kept = iszero(λ) ? Parameter[] : frozen!(Parameter[], handle.net)
    for (i, p, part) in slices(handle, indices)
        βp[i] = βp[i] .* (β1, β2)
        decay = any(q -> q === p, kept) ? zero(λ) : λ
        adam!(p.data, p.grad, view(m, part), view(v, part), βp[i], η, (β1, β2), ϵ, decay)
    end
end

# The parameters of 1x1 convolutions that are not trained. They must not decay either: Householder vectors that shrink
# give the same matrix, until the square of their norm underflows.
frozen!(found, ::Any) = found
frozen!(found, layer::Conv1x1) = layer.freeze ? push!(found, layer.v1, layer.v2, layer.v3) : found
frozen!(found, net::Reversed) = frozen!(found, net.I)
frozen!(found, layers::AbstractArray{<:Invertible}) = foldl(frozen!, layers; init=found)

function frozen!(found, net::Invertible)
    foreach(field -> frozen!(found, getfield(net, field)), fieldnames(typeof(net)))
    return found
end

function adam!(x::Array{T}, Δ::Array{T}, m::AbstractVector{S}, v::AbstractVector{S}, βp, η, β, ϵ, λ) where {T,S}
    @inbounds @simd for i in eachindex(x, Δ, m, v)
        m[i] = S(β[1] * m[i] + (1 - β[1]) * Δ[i])
        v[i] = S(β[2] * v[i] + (1 - β[2]) * Δ[i] * Δ[i])
        step = T(m[i] / (1 - βp[1]) / (sqrt(v[i] / (1 - βp[2])) + ϵ) * η)
        x[i] -= T(step + λ * x[i])
    end
end

# Momentum, which without any is Descent.
function momentum!(handle, double::Bool, description, numbers...)
    return momentum_each!(handle, borrow(double, description, 1), numbers...)
end

function momentum_each!(handle, (velocity,), indices, η, ρ)
    for (_, p, part) in slices(handle, indices)
        momentum!(p.data, p.grad, view(velocity, part), η, ρ)
    end
end

function momentum!(x::Array{T}, Δ::Array{T}, v::AbstractVector{S}, η, ρ) where {T,S}
    @inbounds @simd for i in eachindex(x, Δ, v)
        v[i] = S(ρ * v[i] - η * Δ[i])
        x[i] += v[i]
    end
end
