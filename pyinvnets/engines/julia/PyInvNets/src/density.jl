# Log-determinants by sample. Upstream takes the mean over the batch in each coupling layer and adds these up; while
# `BY_SAMPLE` is on, the layers give the values of all samples, which add up in the same way.

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
        return is_on(BY_SAMPLE) ? by_sample(S) : invoke(InvertibleNetworks.$f, Tuple{Any}, S)
    end
end

values_of(terms::BySample, X) = terms.terms
values_of(term::Real, X) = fill!(similar(X, Float64, size(X)[end]), term)

# `forward` of data with its samples on the last axis.
forward_by_sample(handle, double::Bool, description, count) =
    forward_by_sample_of(handle, borrow(double, description, count))

forward_Y_by_sample(handle, double::Bool, description, count) =
    forward_Y_by_sample_of(handle, borrow(double, description, count))

forward_by_sample_of(handle, arrays) = by_sample((X...) -> propagate(handle.net, :forward, X...), arrays)
forward_Y_by_sample_of(handle, arrays) = by_sample(Y -> forward_Y(handle.net, Y), arrays)

function by_sample(forward, arrays)
    all_results = with(() -> checked(() -> forward(arrays...)), BY_SAMPLE)
    terms = values_of(last(all_results), first(A for A in (arrays..., all_results...) if ndims(A) > 1))
    return results((all_results[1:(end-1)]..., terms), arrays)
end

# The Y lane alone with its log-determinant. Upstream's `forward_Y` of a network has none, or a wrong one.
forward_Y(layer::ConditionalLayerHINT, Y) = layer.forward_Y(Y; logdet=true)

forward_Y(net::NetworkConditionalHINT, Y) = forward_Y(net.AN_Y, net.CL, Y)

function forward_Y(norms::AbstractVector, layers::AbstractVector, Y)
    terms = 0
    for (norm, layer) in zip(norms, layers)
        Y, term = norm.forward(Y; logdet=true)
        Y, term_of_layer = forward_Y(layer, Y)
        terms += term + term_of_layer
    end
    return Y, terms
end

function forward_Y(net::NetworkMultiScaleConditionalHINT, Y)
    left, terms = InvertibleNetworks.array_of_array(Y, net.L - 1), 0
    for i in 1:net.L
        Y, term = forward_Y(net.AN_Y[i, :], net.CL[i, :], net.squeezer.forward(Y))
        terms += term
        if net.split_scales && i < net.L
            Y, left[i] = tensor_split(Y)
        end
    end
    return net.split_scales ? InvertibleNetworks.cat_states(left, Y) : Y, terms
end
