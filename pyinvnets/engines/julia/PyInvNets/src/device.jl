# Networks and arrays on a GPU. Upstream's layers run there as they are. What loops over elements or samples on the CPU
# has array forms here.
#
# Written against the source of CUDA.jl 5.9, not yet run on a GPU.

# What is CUDA's own; the rest is for any GPU's arrays.

cuda_usable() = CUDA.functional()

# Not `cu` nor `Flux.gpu`, which make Float32 of Float64.
to_device(A::Array) = CUDA.CuArray(A)
wrap(::Type{T}, address, shape) where {T} = unsafe_wrap(CUDA.CuArray, CUDA.CuPtr{T}(UInt(address)), shape)

# Other libraries work on streams of their own, with their arrays and with ours: none is left with work to do.
wait_for_device() = CUDA.device_synchronize()

function settled(compute)
    wait_for_device()
    value = compute()
    wait_for_device()
    return value
end

# Arrays

to_device(double::Bool, description) = settled(() -> to_device(borrow_one(double, description)))
to_host(A) = settled(() -> Array(A))
wrap(double::Bool, address, shape...) = wrap(double ? Float64 : Float32, address, shape)

# Whether its numbers are doubles, its address, its shape.
layout(A) = (eltype(A) == Float64, Int(UInt(pointer(A))), size(A)...)

part(A, first, last) = view(A, ntuple(_ -> :, ndims(A) - 1)..., first:last)
repeated(A, count) = settled(() -> repeat(A; outer=(ntuple(_ -> 1, ndims(A) - 1)..., count)))
copied(A) = settled(() -> copy(A))
fill_from!(A, B) = (settled(() -> A .= B); nothing)
scale!(A, factor) = (settled(() -> A .*= eltype(A)(factor)); nothing)
sum_of_squares(A) = settled(() -> sum(x -> abs2(Float64(x)), A))

const OPERATIONS = Dict{String,Function}("+" => +, "-" => -, "*" => *, "/" => /)

elementwise(name, A, B) = settled(() -> broadcast(OPERATIONS[name], operand(A, B), operand(B, A)))
operand(A::AbstractArray, other) = A
operand(number, other) = eltype(other)(number)

# The squares of a latent's elements, halved and summed over each sample. After splits the latent holds part after part,
# of all samples.
function half_squares(latent, samples, splits)
    elements = length(latent) ÷ samples
    sizes = [[elements >> i for i in 1:splits]; elements >> splits]
    stops = cumsum(sizes) .* samples
    parts = [reshape(view(vec(latent), (stop-n*samples+1):stop), n, samples) for (n, stop) in zip(sizes, stops)]
    return settled(() -> sum(A -> vec(sum(x -> abs2(Float64(x)) / 2, A; dims=1)), parts))
end

# Networks. Their parameters stay the objects that they are, in their order.

move_to_device!(handle) = move!(A -> A isa Array{<:Float} ? to_device(A) : A, handle)
move_to_host!(handle) = move!(A -> A isa AbstractGPUArray ? Array(A) : A, handle)

function move!(moved, handle)
    settled() do
        for p in handle.params
            p.data, p.grad = moved(p.data), moved(p.grad)
        end
        reattach!(moved, handle.net)
    end
    return nothing
end

call(handle, arrays::Tuple, mode) = settled(() -> propagated(handle, collect(Any, arrays), mode))
forward_by_sample(handle, arrays::Tuple) = settled(() -> forward_by_sample_of(handle, collect(Any, arrays)))
forward_Y_by_sample(handle, arrays::Tuple) = settled(() -> forward_Y_by_sample_of(handle, collect(Any, arrays)))
adam!(handle, moments::Tuple, numbers...) = settled(() -> adam_each!(handle, moments, numbers...))
momentum!(handle, moments::Tuple, numbers...) = settled(() -> momentum_each!(handle, moments, numbers...))

result(value::AnyGPUArray, arguments) = copy(value)
result(value::AbstractGPUArray, arguments) = any(a -> overlaps(value, a), arguments) ? copy(value) : value

assign(::Any, new::AbstractGPUArray) = copy(new)
function assign(old::AbstractGPUArray{T,N}, new::AbstractGPUArray{T,N}) where {T,N}
    return size(old) == size(new) ? copyto!(old, new) : copy(new)
end

# Optimisers

function adam!(x::AbstractGPUArray{T}, Δ::AbstractGPUArray{T}, m, v, (βp1, βp2), η, (β1, β2), ϵ, λ) where {T}
    m, v = reshape(m, size(x)), reshape(v, size(x))
    m .= β1 .* m .+ (1 - β1) .* Δ
    v .= β2 .* v .+ (1 - β2) .* Δ .* Δ
    x .= descended.(x, m ./ (1 - βp1) ./ (sqrt.(v ./ (1 - βp2)) .+ ϵ) .* η, λ)
end

descended(x::T, step, λ) where {T} = x - T(T(step) + λ * x)

function momentum!(x::AbstractGPUArray{T}, Δ::AbstractGPUArray{T}, v, η, ρ) where {T}
    v = reshape(v, size(x))
    v .= ρ .* v .- η .* Δ
    x .+= v
end

# Conv1x1, without a number that the host would wait for.

vectors(C::Conv1x1, ::AbstractGPUArray) = map(p -> p.data, (C.v1, C.v2, C.v3))
reflection(v::AbstractGPUVector) = I - 2 .* v .* v' ./ sum(abs2, v; dims=1)
multiply_each(X::AbstractGPUArray, R) = reshape(NNlib.batched_mul(samples(X), R), size(X))

function sum_products(X::AbstractGPUArray, Y::AbstractGPUArray)
    products = NNlib.batched_mul(NNlib.batched_transpose(samples(X)), samples(Y))
    return dropdims(sum(products; dims=3); dims=3)
end

function reflection_gradient(v::AbstractGPUVector, ΔH::AbstractGPUMatrix)
    n, Hv = sum(abs2, v; dims=1), ΔH * v
    return (-2 ./ n) .* (Hv .+ ΔH' * v) .+ (4 .* sum(v .* Hv; dims=1) ./ abs2.(n)) .* v
end
