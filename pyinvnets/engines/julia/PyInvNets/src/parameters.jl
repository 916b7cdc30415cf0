# Parameters with their names (field paths) and shapes, in the order of upstream's `get_params`.

struct Named
    name::String
    parameter::Parameter
    shape::Dims
end

Named(name, p::Parameter) = Named(name, p, size(p.data))

named_params(net) = named_params!(Named[], "", net)

below(path, field) = isempty(path) ? string(field) : "$path.$field"

named_params!(found, path, p::Parameter) = push!(found, Named(path, p))
named_params!(found, path, net::Reversed) = named_params!(found, path, net.I)
named_params!(found, path, other) = found

function named_params!(found, path, net::Invertible)
    for field in fieldnames(typeof(net))
        named_params!(found, below(path, field), getfield(net, field))
    end
    return found
end

# Before the first batch its parameters hold `nothing`, and only `k` tells their shape.
function named_params!(found, path, layer::ActNorm)
    push!(found, Named(below(path, :s), layer.s, (layer.k,)))
    return push!(found, Named(below(path, :b), layer.b, (layer.k,)))
end

function named_params!(found, path, block::FluxBlock)
    for (i, p) in enumerate(block.params)
        push!(found, Named(below(path, "params[$i]"), p))
    end
    return found
end

function named_params!(found, path, layers::AbstractMatrix{<:Invertible})
    for i in axes(layers, 1), j in axes(layers, 2)
        named_params!(found, "$path[$i,$j]", layers[i, j])
    end
    return found
end

function named_params!(found, path, layers::AbstractVector{<:Invertible})
    for i in eachindex(layers)
        named_params!(found, "$path[$i]", layers[i])
    end
    return found
end

# Into the array that is there, which a Flux model may share.
assign(::Any, ::Nothing) = nothing
assign(::Any, new::Array) = copy(new)
assign(old::Array{T,N}, new::Array{T,N}) where {T,N} = size(old) == size(new) ? copyto!(old, new) : copy(new)

# All are made before any takes the place of its old one.
function convert_all!(net, params, ::Type{T}) where {T}
    converted = [(as_type(T, p.data), as_type(T, p.grad)) for p in params]
    for (p, (data, grad)) in zip(params, converted)
        p.data, p.grad = data, grad
    end
    reattach!(identity, net)
    return nothing
end

as_type(::Type, ::Nothing) = nothing
as_type(::Type{T}, values::AbstractArray) where {T} = convert(AbstractArray{T}, values)

# A Flux model computes with its own arrays, which upstream does not convert: give it the parameters' arrays. What else
# it holds is converted by `other`.
reattach!(other, ::Any) = nothing
reattach!(other, layers::AbstractArray{<:Invertible}) = foreach(layer -> reattach!(other, layer), layers)

function reattach!(other, net::Invertible)
    for field in fieldnames(typeof(net))
        reattach!(other, getfield(net, field))
    end
end

function reattach!(other, block::FluxBlock)
    converted = IdDict(zip(Flux.params(block.model).order, [p.data for p in block.params]))
    block.model = Flux.fmap(x -> get(() -> other(x), converted, x), block.model)
    return nothing
end
