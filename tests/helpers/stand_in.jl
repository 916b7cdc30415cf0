# JLArrays, the reference GPU array of GPUArrays.jl: memory of the CPU, code and limits of a GPU, element by element
# access an error. It takes the place of `CuArray`, so that all that is not CUDA's own runs without a GPU. What CUDA's
# libraries compute on a GPU (convolutions, batched products) is computed on the CPU.

push!(LOAD_PATH, joinpath(pkgdir(CUDA.GPUArrays), "lib"))

Core.eval(Main, :(import JLArrays))
const JLArray = Main.JLArrays.JLArray

CUDA.GPUArrays.allowscalar(false)

cuda_usable() = true
to_device(A::Array) = JLArray(A)
wait_for_device() = nothing

function wrap(::Type{T}, address, shape) where {T}
    bytes = unsafe_wrap(Array, Ptr{UInt8}(address), prod(shape) * sizeof(T))
    return JLArray{T,length(shape)}(CUDA.GPUArrays.DataRef(Returns(nothing), bytes), shape)
end

InvertibleNetworks.cuzeros(A::JLArray{T}, shape::Int...) where {T} = fill!(similar(A, T, shape), 0)
InvertibleNetworks.cuones(A::JLArray{T}, shape::Int...) where {T} = fill!(similar(A, T, shape), 1)
InvertibleNetworks.array_of_array(::JLArray, shape...) = Array{JLArray}(undef, shape...)

for N in 3:5, f in (:conv!, :∇conv_data!, :∇conv_filter!)
    @eval function NNlib.$f(out::JLArray{T,$N}, a::JLArray{T,$N}, b::JLArray{T,$N}, dims::DenseConvDims; options...) where {T}
        return copyto!(out, NNlib.$f(Array(out), Array(a), Array(b), dims; options...))
    end
end

# Two transposed factors are told by letters, not by their type.
function NNlib._batched_gemm!(::Type{<:JLArray}, transA::Char, transB::Char, α::Number, A, B, β::Number, C)
    host = Array(C)
    NNlib._batched_gemm!(Array, transA, transB, α, Array(NNlib._unbatch(A)), Array(NNlib._unbatch(B)), β, host)
    return copyto!(C, host)
end
