# Calls from Python. An array comes as its address and shape and is borrowed for the one call, wrapped as a true
# `Array`; upstream needs `Array`s, and keeps none of its inputs.

struct Handle
    net::Any
    names::Vector{String}
    shapes::Vector{Dims}
    params::Vector{Parameter}
end

function Handle(net)
    named = named_params(net)
    return Handle(net, [n.name for n in named], [n.shape for n in named], Parameter[n.parameter for n in named])
end

# Each parameter's name and shape, a line each.
describe(handle) = join((join((name, shape...), ' ') for (name, shape) in zip(handle.names, handle.shapes)), '\n')

# The last of the arguments are keywords, with the given names. In one string: juliacall passes keywords in an order
# that changes, and each order would compile anew.
function create(kind, seed, names, arguments...)
    constructor = getfield(InvertibleNetworks, Symbol(kind))
    keys = Tuple(Symbol.(split(names)))
    positional = arguments[1:(end-length(keys))]
    keywords = NamedTuple{keys}(arguments[(end-length(keys)+1):end])
    return Handle(seeded(() -> constructor(positional...; keywords...), seed))
end

# The generator's state is put back after what a seed is for.
function seeded(draw, seed)
    isnothing(seed) && return draw()
    generator = Random.default_rng()
    state = copy(generator)
    Random.seed!(seed)
    try
        return draw()
    finally
        copy!(generator, state)
    end
end

# `description` is the address of integers: for each array its address, its number of axes, and its shape.
function borrow(::Type{T}, description, count) where {T}
    next = Ptr{Int}(description)
    arrays = Vector{Any}(undef, count)
    for i in 1:count
        address, axes = unsafe_load(next, 1), unsafe_load(next, 2)
        shape = ntuple(j -> unsafe_load(next, 2 + j), axes)
        arrays[i] = unsafe_wrap(Array, Ptr{T}(address), shape)
        next += (2 + axes) * sizeof(Int)
    end
    return arrays
end

borrow(double::Bool, description, count) = double ? borrow(Float64, description, count) : borrow(Float32, description, count)
borrow_one(double, description) = only(borrow(double, description, 1))

# The results are a tuple, without memory of the arguments.
function call(handle, mode, double, description, count)
    arrays = borrow(double, description, count)
    CHECKED[] = FAST[]
    try
        return results(propagate(handle.net, Symbol(mode), arrays...), arrays)
    finally
        CHECKED[] = false
    end
end

upstream_version() = string(pkgversion(InvertibleNetworks))
threads() = Threads.nthreads()
cuda_usable() = InvertibleNetworks.CUDA.functional()

propagate(net, mode, arrays...) = InvertibleNetworks._predefined_mode(net, mode, arrays...)

function propagate(net::Reversed, mode, arrays...)
    return propagate(net.I, get(InvertibleNetworks._RNet_modes, mode, mode), arrays...)
end

# Upstream gives `Conv1x1` its backward as the inverse of a pair, and a second result in `inverse`.
function propagate(layer::Conv1x1, mode, arrays...)
    mode === :backward && return layer.inverse(arrays)
    mode === :inverse && return layer.inverse(arrays...; logdet=false)
    return InvertibleNetworks._predefined_mode(layer, mode, arrays...)
end

results(values::Tuple, arguments) = map(v -> result(v, arguments), values)
results(value, arguments) = (result(value, arguments),)

result(value::Real, arguments) = Float64(value)
result(value::Array, arguments) = any(a -> overlaps(value, a), arguments) ? copy(value) : value
result(value::AbstractArray, arguments) = result(collect(value), arguments)

function overlaps(a, b)
    first_a, first_b = UInt(pointer(a)), UInt(pointer(b))
    return first_a < first_b + sizeof(b) && first_b < first_a + sizeof(a)
end

data(handle, i) = handle.params[i].data
grad(handle, i) = handle.params[i].grad

set_data!(handle, i, value) = (p = handle.params[i]; p.data = assign(p.data, value); nothing)
set_grad!(handle, i, value) = (p = handle.params[i]; p.grad = assign(p.grad, value); nothing)

function clear_grads!(handle)
    for p in handle.params
        p.grad = nothing
    end
end

convert_all!(handle, double) = convert_all!(handle.net, handle.params, double ? Float64 : Float32)

# Upstream remembers the sizes of the last forward's latents; here they follow from the image size and the latent's
# length, so that any batch size, and a network that was never forward, can be inverted.
function set_latent_sizes!(net::NetworkGlow, len, spatial...)
    d = length(spatial)
    channels = net.AN[1, 1].k ÷ 2^d
    samples = len ÷ (channels * prod(spatial))
    for i in eachindex(net.Z_dims)
        spatial = spatial .÷ 2
        channels *= 2^d
        kept = round(Int, channels / 2)
        net.Z_dims[i] = [spatial..., channels - kept, samples]
        channels = kept
    end
end
set_latent_sizes!(handle::Handle, len, spatial...) = set_latent_sizes!(handle.net, len, spatial...)
