# NetworkLoop with a link function and an operator of Python's.

# Upstream's constructor fails for additive layers: it gives them an activation, which they do not take.
function unrolled_loop(n_in, n_hidden, maxiter, link; type, options...)
    layers = if type == "additive"
        CouplingLayerIRIM[CouplingLayerIRIM(n_in, n_hidden; options...) for _ in 1:maxiter]
    else
        CouplingLayerHINT[CouplingLayerHINT(n_in, n_hidden; logdet=false, permute="both", options...) for _ in 1:maxiter]
    end
    return NetworkLoop(layers, ActNorm[ActNorm(1) for _ in 1:maxiter], linked(link))
end

function linked(link)
    return function (image::Array{T,N}) where {T,N}
        value = outside(() -> PythonCall.pyconvert(Array{T}, link(image)))
        size(value) == size(image) ||
            throw(ArgumentError("NetworkLoop: psi must keep the shape of its argument, $(size(image)), got shape $(size(value))"))
        return value
    end
end

# Both take a matrix, a column for each sample.
struct Operator
    multiply::PythonCall.Py
    multiply_adjoint::PythonCall.Py
end

LinearAlgebra.adjoint(A::Operator) = Operator(A.multiply_adjoint, A.multiply)
Base.:*(A::Operator, X::AbstractMatrix{T}) where {T} = outside(() -> PythonCall.pyconvert(Matrix{T}, A.multiply(X)))

# Upstream's backward overwrites the state that it is given, which is the caller's memory.
function propagate(net::NetworkLoop, mode, arguments...)
    if mode === :backward
        Δη, Δs, η, s, others... = arguments
        arguments = (Δη, Δs, η, copy(s), others...)
    end
    return InvertibleNetworks._predefined_mode(net, mode, arguments...)
end
