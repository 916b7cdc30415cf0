# Memory that is kept from call to call. Each part of a batch takes one for as long as it computes.

struct Scratch{T}
    columns::Vector{T}
    first::Vector{T}
    second::Vector{T}
    rectified::Vector{T}
    of_second::Vector{T}
    of_first::Vector{T}
    rotated::Vector{T}
end

Scratch{T}() where {T} = Scratch{T}((T[] for _ in fieldnames(Scratch))...)

# The beginning of the memory as a matrix, valid until the next that is made of the same.
function matrix!(memory::Vector{T}, rows, columns) where {T}
    length(memory) < rows * columns && resize!(memory, rows * columns)
    return unsafe_wrap(Array, pointer(memory), (rows, columns))
end

const UNUSED = (Scratch{Float32}[], Scratch{Float64}[])
const UNUSED_LOCK = ReentrantLock()

unused(::Type{Float32}) = UNUSED[1]
unused(::Type{Float64}) = UNUSED[2]

function with_scratch(f, ::Type{T}) where {T}
    scratch = lock(() -> isempty(unused(T)) ? Scratch{T}() : pop!(unused(T)), UNUSED_LOCK)
    try
        return GC.@preserve scratch f(scratch)
    finally
        lock(() -> push!(unused(T), scratch), UNUSED_LOCK)
    end
end

# So many rows of a matrix are worth a product, and stay in a core's cache.
const ROWS = 1024
# So few are not worth a second thread.
const FEW_ROWS = 512

# `f(scratch, part, samples)` for groups of samples of `points` points each. Where Julia has several threads, each
# computes a part of them, and matrix products have one.
function in_groups(f, ::Type{T}, batch, points, parts) where {T}
    groups = collect(Iterators.partition(1:batch, group_size(batch, points, parts)))
    parts == 1 && return with_scratch(scratch -> foreach(group -> f(scratch, 1, group), groups), T)
    shares = collect(Iterators.partition(groups, cld(length(groups), parts)))
    with_one_blas_thread() do
        tasks = map(enumerate(shares)) do (part, share)
            Threads.@spawn with_scratch(scratch -> foreach(group -> f(scratch, part, group), share), T)
        end
        foreach(wait, tasks)
    end
end

number_of_parts(batch, points) = batch * points < FEW_ROWS ? 1 : min(Threads.nthreads(), batch)
group_size(batch, points, parts) = clamp(ROWS ÷ points, 1, cld(batch, parts))

function with_one_blas_thread(f)
    threads = BLAS.get_num_threads()
    threads == 1 && return f()
    BLAS.set_num_threads(1)
    try
        return f()
    finally
        BLAS.set_num_threads(threads)
    end
end
