# States of the flow that `forward` keeps, so that `backward` need not trust the inverse over all steps: after every so
# many steps, each known by its layer, which `backward` calls first. All is in terms of whole arrays, so that it runs on
# a GPU as it is.
#
# Upstream's networks call the layers of their steps by name, which comes through `_predefined_mode`; in loops of our own
# `keep!` and `restored` stand where a step ends. What such a layer calls is no step.

mutable struct States
    task::Task
    spacing::Int  # 0 where none is kept
    steps::Int
    drift::Float64
    lanes::IdDict{Any,Tuple}
end

States(spacing) = States(current_task(), spacing, 0, 0.0, IdDict{Any,Tuple}())

# For another way back.
again(states) = States(current_task(), states.spacing, states.steps, 0.0, states.lanes)

const STATES = Ref{Union{Nothing,States}}(nothing)

function states_of_task()
    states = STATES[]
    return isnothing(states) || states.task !== current_task() ? nothing : states
end

keep!(layer, lanes...) = keep!(states_of_task(), layer, lanes)
keep!(::Nothing, layer, lanes) = nothing

function keep!(states::States, layer, lanes::Tuple)
    states.steps += 1
    if states.spacing > 0 && states.steps % states.spacing == 0
        states.lanes[layer] = map(copy, lanes)
    end
    return nothing
end

# What the layer's `backward` takes, gradients and then states, of which the latter as they were kept, if they were.
restored(layer, arrays...) = restored(states_of_task(), layer, arrays)
restored(::Nothing, layer, arrays) = arrays

function restored(states::States, layer, arrays::Tuple)
    haskey(states.lanes, layer) || return arrays
    kept = map(copy, states.lanes[layer])
    n = length(kept)
    for (lane, state) in zip(arrays[(n+1):2n], kept)
        states.drift = max(states.drift, difference(lane, state))
    end
    return (arrays[1:n]..., kept..., arrays[(2n+1):end]...)
end

# The norm of the difference, relative to the true array, whose elements count as no smaller than the root of epsilon:
# latents begin at zero. Zero where it is not finite itself.
function difference(A, truth::AbstractArray{T}) where {T}
    norm = sum(x -> abs2(Float64(x)), truth)
    isfinite(norm) || return 0.0
    relative = sqrt(sum(x -> abs2(Float64(x)), A .- truth) / max(norm, length(truth) * Float64(eps(T))))
    return isnan(relative) ? Inf : relative
end

const StepLayer = Union{CouplingLayerGlow,ConditionalLayerGlow,CouplingLayerHINT,ConditionalLayerHINT,HyperbolicLayer}

function InvertibleNetworks._predefined_mode(layer::StepLayer, mode::Symbol, arrays...; kwargs...)
    states = states_of_task()
    isnothing(states) && return plain_mode(layer, mode, arrays...; kwargs...)
    mode === :backward && (arrays = restored(states, layer, arrays))
    results = with_set(() -> plain_mode(layer, mode, arrays...; kwargs...), STATES, nothing)
    mode === :forward && keep!(states, layer, (results isa Tuple ? results : (results,))[1:lanes(layer)])
    return results
end

# The networks that have steps.
has_steps(handle) = has_steps_in(handle.net)
has_steps_in(net) = false
has_steps_in(net::Reversed) = has_steps_in(net.I)
has_steps_in(::Union{GlowNetwork,ConditionalGlowNetwork,NetworkMultiScaleHINT}) = true
has_steps_in(::Union{NetworkConditionalHINT,NetworkMultiScaleConditionalHINT,NetworkHyperbolic}) = true

# What a `forward` kept: states, some of its input, where states may have to be kept closer together all of its inputs,
# and by what its `backward` is known.
mutable struct Kept
    states::States
    some::AbstractArray
    inputs::Vector{Any}
    known_by::UInt64
end

some(X) = ndims(X) > 1 ? copy(selectdim(X, ndims(X), 1:1)) : X[1:min(end, 1024)]
bytes(kept) = sum(sizeof, kept.inputs; init=0) + sum(A -> sizeof(A), Iterators.flatten(values(kept.states.lanes)); init=0)

# Of the bits of arrays and parameters: equal ones have the same, others hardly ever.
function fingerprint_of(handle, arrays)
    known = UInt64(0)
    for A in Iterators.flatten((arrays, (p.data for p in handle.params)))
        known = hash(isnothing(A) ? UInt64(0) : fingerprint(A), known)
    end
    return known
end

fingerprint(A::AbstractArray) = mapreduce(mixed, +, vec(A), 1:length(A))

function fingerprint(A::Array)
    sum = UInt64(0)
    @inbounds @simd for i in eachindex(A)
        sum += mixed(A[i], i)
    end
    return sum
end

mixed(x, i) = ((bits(x) ⊻ (i % UInt64 * 0x9e3779b97f4a7c15)) * 0xff51afd7ed558ccd) >> 7
bits(x::Float32) = UInt64(reinterpret(UInt32, x))
bits(x::Float64) = reinterpret(UInt64, x)

fingerprint(handle, double::Bool, description, count) = wrapped(fingerprint_of(handle, borrow(double, description, count)))
fingerprint(handle, arrays::Tuple) = settled(() -> wrapped(fingerprint_of(handle, arrays)))
wrapped(known_by) = reinterpret(Int64, known_by)

# For Python. Arrays come as in bridge.jl, or in a tuple where they are on a GPU. The results are those of `forward`, with
# log-determinants by sample or their mean, then what was kept and its size in bytes.

function forward_keeping(handle, double::Bool, description, count, spacing, automatic, each)
    return forward_keeping_of(handle, borrow(double, description, count), spacing, automatic, each)
end

function forward_keeping(handle, arrays::Tuple, spacing, automatic, each)
    return settled(() -> forward_keeping_of(handle, collect(Any, arrays), spacing, automatic, each))
end

function forward_keeping_of(handle, arrays, spacing, automatic, each)
    inputs = automatic ? Any[copy(A) for A in arrays] : Any[]
    states = States(spacing)
    values = with_set(STATES, states) do
        each ? forward_by_sample_of(handle, arrays) : propagated(handle, arrays, "forward")
    end
    kept = Kept(states, some(first(arrays)), inputs, fingerprint_of(handle, values[1:lanes_of(handle.net)]))
    return (values..., kept, Float64(bytes(kept)))
end

lanes_of(net) = lanes(net)
lanes_of(net::Reversed) = lanes(net.I)

# Keep states closer together.
function keep_again!(handle, kept, spacing)
    kept.states = States(spacing)
    with_set(() -> propagated(handle, kept.inputs, "forward"), STATES, kept.states)
    return nothing
end

# The results of `backward`; which of `all_kept` has these latents and parameters, 0 where none has; the number of steps;
# and how far recomputed states were off.

function backward_from(handle, double::Bool, description, count, all_kept...)
    return backward_from_of(handle, borrow(double, description, count), all_kept)
end

backward_from(handle, arrays::Tuple, all_kept...) =
    settled(() -> backward_from_of(handle, collect(Any, arrays), all_kept))

function backward_from_of(handle, arrays, all_kept)
    n = lanes_of(handle.net)
    known_by = fingerprint_of(handle, arrays[(n+1):2n])
    found = findfirst(kept -> kept.known_by == known_by, all_kept)
    isnothing(found) && return (propagated(handle, arrays, "backward")..., 0, 0, 0.0)
    kept = all_kept[found]
    states = again(kept.states)
    values = with_set(() -> propagated(handle, arrays, "backward"), STATES, states)
    drift = max(states.drift, difference(some(values[n+1]), kept.some))
    return (values..., found, states.steps, drift)
end

# The gradients that `backward` adds to, to put them back before another try.

added(handle) = [(i, copied_or_nothing(handle.params[i].grad)) for i in handle.adding]
copied_or_nothing(A) = isnothing(A) ? nothing : copy(A)

function take_back!(handle, gradients)
    for (i, gradient) in gradients
        handle.params[i].grad = copied_or_nothing(gradient)
    end
end
