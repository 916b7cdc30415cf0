# Flux's `Adam` (src/optimise/optimisers.jl) over many parameters in one call, without allocating. As there, the
# arithmetic is in Float64, and each intermediate array is rounded to the parameter's type.

mutable struct Moment
    m::Array
    v::Array
    βp::Tuple{Float64,Float64}
end

moments(handle) = Union{Moment,Nothing}[nothing for _ in handle.params]

without_gradient(handle, indices) = [handle.names[i] for i in indices if isnothing(handle.params[i].grad)]
without_gradient(handle, ::Nothing) = without_gradient(handle, eachindex(handle.params))

function adam!(handle, moments, indices, η, β1, β2, ϵ)
    β = (β1, β2)
    for i in (isnothing(indices) ? eachindex(handle.params) : indices)
        p = handle.params[i]
        state = moments[i]
        if isnothing(state)
            state = moments[i] = Moment(zero(p.data), zero(p.data), β)
        elseif eltype(state.m) != eltype(p.data)
            state.m, state.v = eltype(p.data).(state.m), eltype(p.data).(state.v)
        end
        adam!(p.data, p.grad, state.m, state.v, state.βp, η, β, ϵ)
        state.βp = state.βp .* β
    end
end

function adam!(x::Array{T}, Δ::Array{T}, m::Array{T}, v::Array{T}, βp, η, β, ϵ) where {T}
    @inbounds @simd for i in eachindex(x, Δ, m, v)
        m[i] = T(β[1] * m[i] + (1 - β[1]) * Δ[i])
        v[i] = T(β[2] * v[i] + (1 - β[2]) * Δ[i] * Δ[i])
        x[i] -= T(m[i] / (1 - βp[1]) / (sqrt(v[i] / (1 - βp[2])) + ϵ) * η)
    end
end
