# Convolutions as matrix products: a row for each point of the grid that a kernel goes over, a column for each channel
# and tap of the kernel. One to three spatial axes are three here, some of one point; the last counts lines.

struct Convolution
    image::NTuple{3,Int}
    kernel::NTuple{3,Int}
    stride::NTuple{3,Int}
    padding::NTuple{3,Int}
    grid::NTuple{3,Int}
end

function Convolution(image, kernel, stride, padding)
    axes = length(image)
    image, kernel = three(Tuple(image), 1), three(Tuple(kernel), 1)
    stride, padding = three(ntuple(_ -> stride, axes), 1), three(ntuple(_ -> padding, axes), 0)
    grid = (image .+ 2 .* padding .- kernel) .÷ stride .+ 1
    return Convolution(image, kernel, stride, padding, grid)
end

three(sizes::NTuple{1}, other) = (sizes[1], other, other)
three(sizes::NTuple{2}, other) = (sizes[1], other, sizes[2])
three(sizes::NTuple{3}, other) = sizes

points(C::Convolution) = prod(C.grid)

# Channels of an array, as distances in memory.
struct Planes{T,N}
    values::Array{T,N}
    offset::Int
    to_channel::Int
    to_sample::Int
    channels::Int
end

function Planes(X::Array{T,N}, channels=axes(X, N - 1)) where {T,N}
    plane = prod(size(X)[1:(N-2)])
    return Planes(X, (first(channels) - 1) * plane, plane, plane * size(X, N - 1), length(channels))
end

# Of a matrix with the points of some samples as rows.
by_points(A::Matrix, points) = Planes(A, 0, size(A, 1), points, size(A, 2))

# `f(column, row, start, range)` for each line that a tap meets, where the rows after `row` are the points of the line,
# and the tap meets point `x` of `range` at index `start + stride * x`. A convolution turns its kernel round.
@inline function each_line(f::F, P::Planes, C::Convolution, group, lines, column) where {F}
    (size1, size2, size3), (k1, k2, k3), (s1, s2, s3), (p1, p2, p3) = C.image, C.kernel, C.stride, C.padding
    n1, n2, _ = C.grid
    for channel in 1:P.channels, tap3 in 1:k3, tap2 in 1:k2, tap1 in 1:k1
        column += 1
        shift = k1 - tap1 - p1
        range = (max(0, cld(-shift, s1))+1):min(n1, fld(size1 - 1 - shift, s1) + 1)
        row = 0
        for sample in group, i3 in lines, i2 in 1:n2
            y, z = s2 * (i2 - 1) + k2 - tap2 - p2, s3 * (i3 - 1) + k3 - tap3 - p3
            inside = 0 <= y < size2 && 0 <= z < size3
            start = P.offset + (sample - 1) * P.to_sample + (channel - 1) * P.to_channel + (z * size2 + y) * size1
            f(column, row, start + shift + 1 - s1, inside ? range : (1:0))
            row += n1
        end
    end
    return column
end

function gather!(columns::Matrix, sources, C::Convolution, group, lines)
    column = 0
    for source in sources
        column = gather_one!(columns, source, C, group, lines, column)
    end
end

function gather_one!(columns::Matrix{T}, P::Planes{T}, C::Convolution, group, lines, column) where {T}
    n, s, values = C.grid[1], C.stride[1], P.values
    return each_line(P, C, group, lines, column) do column, row, start, range
        @inbounds begin
            for x in 1:(first(range)-1)
                columns[row+x, column] = zero(T)
            end
            if s == 1
                @simd for x in range
                    columns[row+x, column] = values[start+x]
                end
            else
                for x in range
                    columns[row+x, column] = values[start+s*x]
                end
            end
            for x in (last(range)+1):n
                columns[row+x, column] = zero(T)
            end
        end
    end
end

# Adds to the targets what `gather!` would take from there.
function scatter!(targets, columns::Matrix, C::Convolution, group, lines)
    column = 0
    for target in targets
        column = scatter_one!(target, columns, C, group, lines, column)
    end
end

function scatter_one!(P::Planes{T}, columns::Matrix{T}, C::Convolution, group, lines, column) where {T}
    s, values = C.stride[1], P.values
    return each_line(P, C, group, lines, column) do column, row, start, range
        @inbounds if s == 1
            @simd ivdep for x in range
                values[start+x] += columns[row+x, column]
            end
        else
            for x in range
                values[start+s*x] += columns[row+x, column]
            end
        end
    end
end
