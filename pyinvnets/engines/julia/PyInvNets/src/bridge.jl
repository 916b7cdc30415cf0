# Calls from Python. An array comes as its address and shape and is borrowed for the one call, wrapped as a true
# `Array`; upstream needs `Array`s, and keeps none of its inputs.

struct Handle
    net::Any
    names::Vector{String}
    shapes::Vector{Dims}
    params::Vector{Parameter}
    adding::Vector{Int}  # Those of `Conv1x1`, to whose gradients `backward` adds.
end

function Handle(net)
    named = named_params(net)
    names = [n.name for n in named]
    adding = findall(name -> occursin(r"(^|\.)(v1|v2|v3)$", name), names)
    return Handle(net, names, [n.shape for n in named], Parameter[n.parameter for n in named], adding)
end

# Each parameter's name and shape, a line each.
describe(handle) = join((join((name, shape...), ' ') for (name, shape) in zip(handle.names, handle.shapes)), '\n')

# The last of the arguments are keywords, with the given names. In one string: juliacall passes keywords in an order
# that changes, and each order would compile anew.
function create(kind, seed, names, arguments...)
    keys = Tuple(Symbol.(split(names)))
    arguments = map(net_of, arguments)
    positional = arguments[1:(end-length(keys))]
    keywords = NamedTuple{keys}(arguments[(end-length(keys)+1):end])
    return Handle(seeded(() -> constructor(kind)(positional...; keywords...), seed))
end

net_of(handle::Handle) = handle.net
net_of(other) = other

function constructor(kind)
    kind == "NetworkLoop" && return unrolled_loop
    return getfield(@__MODULE__, Symbol(kind))
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

# The results are a tuple, without memory of the arguments. What is no array comes last, as it is.
function call(handle, double::Bool, description, count, mode, others...)
    return propagated(handle, borrow(double, description, count), mode, others...)
end

function propagated(handle, arrays, mode, others...)
    return checked(() -> results(propagate(handle.net, Symbol(mode), arrays..., others...), arrays))
end

checked(compute) = FAST[] ? with(compute, CHECKED) : without(compute, CHECKED)

# The arrays are the tangents of `inputs` inputs, the inputs, and the tangents of the parameters. Upstream's further
# results are left out.
function jacobian(handle, double, description, count, inputs)
    arrays = borrow(double, description, count)
    wrong_in_upstream(handle.net) && error("its derivative of a flow that splits at its only scale is wrong")
    tangents, values, directions = arrays[1:inputs], arrays[(inputs+1):2inputs], Parameter.(arrays[(2inputs+1):end])
    all_results = checked(() -> propagate(handle.net, :jacobian, tangents..., directions, values...))
    return results(all_results[1:2inputs], arrays)
end

wrong_in_upstream(net) = false
wrong_in_upstream(net::NetworkGlow) = net.split_scales && net.L == 1

# The gradients of the inputs, the inputs where they are recomputed, and the gradients of the parameters.
function adjoint_jacobian(handle, double, description, count)
    arrays = borrow(double, description, count)
    all_results = checked(() -> propagate(handle.net, :adjointJacobian, arrays...))
    of_parameters = findfirst(r -> r isa Vector, all_results)
    others = filter(r -> r isa Array{<:Float} && ndims(r) > 1, collect(Any, all_results))
    return results((others..., (p.data for p in all_results[of_parameters])...), arrays)
end

upstream_version() = string(pkgversion(InvertibleNetworks))
threads() = Threads.nthreads()

# For Python to call by themselves: a function compiled by Julia would undo at its end what they do.
safe_enter_address() = Int(cglobal(:jl_gc_safe_enter))
safe_leave_address() = Int(cglobal(:jl_gc_safe_leave))

# Ends an array that Python saw, for Julia to compile now how that is done. In a forked child, whose end ends all of
# them, it cannot: it writes what it compiles to its parent's memory.
function end_an_array()
    array = PythonCall.Py([0.0])
    PythonCall.pydel!(PythonCall.pybuiltins.memoryview(array))
    PythonCall.pydel!(array)
    return nothing
end

propagate(net, mode, arguments...) = InvertibleNetworks._predefined_mode(net, mode, arguments...)

# Upstream gives `Conv1x1` its backward as the inverse of a pair, and a second result in `inverse`.
function propagate(layer::Conv1x1, mode, arguments...)
    mode === :backward && return layer.inverse(arguments)
    mode === :inverse && return layer.inverse(arguments...; logdet=false)
    return InvertibleNetworks._predefined_mode(layer, mode, arguments...)
end

# Its latent has the data's shape, which tells all sizes.
function propagate(net::ConditionalGlowNetwork, mode, latent, arguments...)
    if mode !== :forward && net.split_scales
        set_latent_sizes!(net, length(latent), size(latent)[1:(end-2)]...)
    end
    return InvertibleNetworks._predefined_mode(net, mode, latent, arguments...)
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

# `flag` is the address at which Python keeps whether the numbers are doubles.
function convert_all!(handle, double, flag)
    convert_all!(handle.net, handle.params, double ? Float64 : Float32)
    unsafe_store!(Ptr{Bool}(flag), double)
    return nothing
end

# Upstream remembers the sizes of the last forward's latents; here they follow from the image size and the latent's
# length, so that any batch size, and a network that was never forward, can be inverted.
function set_latent_sizes!(net, len, spatial...)
    d = length(spatial)
    channels = first_norm(net).k ÷ 2^d
    samples = len ÷ (channels * prod(spatial))
    sizes = latent_sizes(net)
    for i in eachindex(sizes)
        spatial = spatial .÷ 2
        channels *= 2^d
        kept = round(Int, channels / 2)
        sizes[i] = as_size(sizes, (spatial..., channels - kept, samples))
        channels = kept
    end
end
set_latent_sizes!(handle::Handle, len, spatial...) = set_latent_sizes!(handle.net, len, spatial...)
set_latent_sizes!(net::Reversed, len, spatial...) = set_latent_sizes!(net.I, len, spatial...)

as_size(::Vector{Tuple}, size) = size
as_size(::Vector{Array}, size) = collect(size)

latent_sizes(net) = net.Z_dims
latent_sizes(net::NetworkMultiScaleHINT) = net.X_dims
latent_sizes(net::NetworkMultiScaleConditionalHINT) = net.XY_dims
first_norm(net) = net.AN[1, 1]
first_norm(net::NetworkMultiScaleConditionalHINT) = net.AN_X[1, 1]

# Upstream's NetworkMultiScaleHINT calls it with its arguments swapped, and sizes in tuples.
function InvertibleNetworks.split_states(sizes::Vector{Tuple}, latent::AbstractVector{<:Float})
    return InvertibleNetworks.split_states(latent, Array[collect(size) for size in sizes])
end
