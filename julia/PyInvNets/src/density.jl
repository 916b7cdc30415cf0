# Log-determinants by sample. Upstream takes the mean over the batch in each coupling layer and adds these up; while
# `BY_SAMPLE` is on, the layers give the values of all samples, which add up in the same way.

const BY_SAMPLE = Ref(false)

struct BySample{V<:AbstractVector{Float64}}
    terms::V
end

Base.:+(a::BySample, b::BySample) = BySample(a.terms .+ b.terms)
Base.:+(a::BySample, b::Real) = BySample(a.terms .+ b)
Base.:+(a::Real, b::BySample) = b + a
Base.:-(a::BySample) = BySample(.-a.terms)

function by_sample(S)
    logarithms = sum(s -> Float64(log(abs(s))), S; dims=Tuple(1:(ndims(S)-1)))
    return BySample(vec(logarithms))
end

for f in (:glow_logdet_forward, :coupling_logdet_forward)
    @eval function InvertibleNetworks.$f(S::AbstractArray)
        return BY_SAMPLE[] ? by_sample(S) : invoke(InvertibleNetworks.$f, Tuple{Any}, S)
    end
end

values_of(terms::BySample, X) = terms.terms
values_of(term::Real, X) = fill!(similar(X, Float64, size(X)[end]), term)

# `forward` of data with its samples on the last axis.
function forward_by_sample(handle, double::Bool, description, count)
    return propagated_by_sample(handle, borrow(double, description, count))
end

function propagated_by_sample(handle, arrays)
    BY_SAMPLE[] = true
    try
        all_results = checked(() -> propagate(handle.net, :forward, arrays...))
        terms = values_of(last(all_results), first(arrays))
        return results((all_results[1:(end-1)]..., terms), arrays)
    finally
        BY_SAMPLE[] = false
    end
end
