# Products with linear operators that are Julia's own, of matrices with a column for each sample.

product(A::AbstractMatrix, X) = Matrix(A * X)

# Column by column: operators of JUDI take vectors alone, and may give vectors of their own kind. Those of JOLI take
# numbers of their own type alone.
function product(A, X)
    T = eltype(A) <: Number ? real(eltype(A)) : eltype(X)
    return reduce(hcat, [collect(vec(A * Vector{T}(x))) for x in eachcol(X)])
end
