# The Julia side of pyinvnets: what Python calls, in as few calls as possible.
module PyInvNets

using InvertibleNetworks
using InvertibleNetworks: ActivationFunction, CUDA, FluxBlock, Invertible, Parameter, Reversed, Squeezer
using InvertibleNetworks.CUDA.GPUArrays: AbstractGPUArray, AbstractGPUMatrix, AbstractGPUVector, AnyGPUArray
using LinearAlgebra, NNlib, Random
import Flux, PythonCall

include("modes.jl")
include("values.jl")
include("fast.jl")
include("splines.jl")
include("spline_flows.jl")
include("parameters.jl")
include("loop.jl")
include("operators.jl")
include("bridge.jl")
include("density.jl")
include("reversed.jl")
include("functions.jl")
include("optimisers.jl")
include("device.jl")
include("anchors.jl")
include("workload.jl")

end
