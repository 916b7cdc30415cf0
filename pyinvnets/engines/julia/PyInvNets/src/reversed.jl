# Networks run the other way. Upstream has the log-determinant and the gradient of the inverse for some, and a flag in
# each of their layers that says which way is meant; here both ways are there at once, for all, without the flags.
#
# `inverse_term` is the inverse with the log-determinant of `forward`, zero where it is not tracked, and `backward_inv`
# the gradient of the inverse. A condition is as `forward` of the network takes it. All is in terms of whole arrays, so
# that it runs on a GPU as it is.

reversed(handle) = Handle(Reversed(handle.net))

propagate(net::Reversed, mode, arguments...) = reversed_propagate(net.I, Val(mode), arguments...)

function reversed_propagate(net, ::Val{:forward}, arguments...)
    lanes..., term = inverse_term(arguments..., net)
    return tracked(net) ? (lanes..., -term) : lanes
end

function reversed_propagate(net, ::Val{:inverse}, arguments...)
    found = propagate(net, :forward, arguments...)
    return found isa Tuple ? found[1:lanes(net)] : found
end

reversed_propagate(net, ::Val{:backward}, arguments...) = backward_inv(arguments..., net)

tracked(net) = net.logdet
tracked(::Union{CouplingLayerIRIM,HyperbolicLayer}) = false
tracked(::Union{ConditionalGlowNetwork,NetworkMultiScaleHINT}) = true

const TwoLanes = Union{
    CouplingLayerBasic,ConditionalLayerHINT,HyperbolicLayer,
    NetworkHyperbolic,NetworkConditionalHINT,NetworkMultiScaleConditionalHINT,
}

lanes(net) = 1
lanes(::TwoLanes) = 2

# Layers

function inverse_term(Y::AbstractArray{T,N}, layer::ActNorm) where {T,N}
    isnothing(layer.s.data) && normalise_inverse!(layer, Y)
    term = layer.logdet ? InvertibleNetworks.logdet_forward(size(Y)[1:(N-2)]..., layer.s) : 0
    return inverse(Y, layer; logdet=false), term
end

# So that what the inverse gives of this batch has zero mean and unit variance.
function normalise_inverse!(layer::ActNorm, Y::AbstractArray{T,N}) where {T,N}
    dims = (ntuple(identity, N - 2)..., N)
    layer.s.data = vec(sqrt.(InvertibleNetworks.var(Y; dims)))
    layer.b.data = vec(InvertibleNetworks.mean(Y; dims))
end

inverse_term(Y, layer::Conv1x1) = (inverse(Y, layer; logdet=false), 0)
backward_inv(ΔX, X, layer::Conv1x1) = forward((ΔX, X), layer)

inverse_term(Y, layer::AffineLayer) = (inverse(Y, layer), layer.logdet ? InvertibleNetworks.logdet_forward(layer.s) : 0)

function backward_inv(ΔX::AbstractArray{T,N}, X::AbstractArray{T,N}, layer::AffineLayer) where {T,N}
    s = layer.s.data
    ΔY = ΔX ./ s
    Δs = .-dropdims(sum(ΔY .* X; dims=N); dims=N)
    layer.s.grad = layer.logdet ? Δs .+ 1 ./ s : Δs
    layer.b.grad = .-dropdims(sum(ΔY; dims=N); dims=N)
    return ΔY, X .* s .+ layer.b.data
end

function inverse_term(Y1, Y2, layer::CouplingLayerBasic)
    X1, X2, S = inverse(Y1, Y2, layer; save=true, logdet=false)
    return X1, X2, layer.logdet ? InvertibleNetworks.coupling_logdet_forward(S) : 0
end

inverse_term(Y, layer::CouplingLayerGlow) = glow_inverse_term(Y, layer)
inverse_term(Y, C, layer::ConditionalLayerGlow) = glow_inverse_term(Y, layer, C)

function glow_inverse_term(Y, layer::AffineCoupling, condition...)
    c = coupling(layer, Y)
    if !isnothing(c)
        X, raw = glow_inverse(c, Y, layer, condition...)
        return X, layer.logdet ? term_of(c, raw) : 0
    end
    X, _, _, S = inverse(Y, condition..., layer; save=true)
    return X, layer.logdet ? InvertibleNetworks.glow_logdet_forward(S) : 0
end

backward_inv(ΔX, X, layer::CouplingLayerGlow) = pulled_back(ΔX, X, layer)[1:2]
backward_inv(ΔX, X, C, layer::ConditionalLayerGlow) = pulled_back(ΔX, X, layer, C)

# Of `X1 = (Y1 - shift) / scale`, after the gradient of the convolution's inverse; with that of the condition, if any.
function pulled_back(ΔX::AbstractArray{T,N}, X, layer::AffineCoupling, condition...) where {T,N}
    c = coupling(layer, X)
    isnothing(c) || return glow_backward_inv(c, ΔX, X, layer, condition...)
    ΔX, X = backward_inv(ΔX, X, layer.C)
    X1, X2 = tensor_split(X)
    ΔX1, ΔX2 = tensor_split(ΔX)
    seen_by_block = reduce(tensor_cat, (X2, condition...))
    log_scale, shift = tensor_split(forward(seen_by_block, layer.RB))
    S = layer.activation.forward(log_scale)
    ΔY1 = ΔX1 ./ (S .+ eps(T))
    ΔS = .-ΔY1 .* X1
    layer.logdet && (ΔS .+= 1 ./ S ./ size(S, N))
    Δblock = backward(tensor_cat(layer.activation.backward(ΔS, S), .-ΔY1), seen_by_block, layer.RB)
    ΔY2, Δcondition = tensor_split(Δblock; split_index=size(X2, N - 1))
    return tensor_cat(ΔY1, ΔX2 .+ ΔY2), tensor_cat(S .* X1 .+ shift, X2), Δcondition
end

inverse_term(Y, layer::CouplingLayerIRIM) = (inverse(Y, layer), 0)

function backward_inv(ΔX, X, layer::CouplingLayerIRIM)
    ΔX, X = backward_inv(ΔX, X, layer.C)
    (X1, X2), (ΔX1, ΔX2) = tensor_split(X), tensor_split(ΔX)
    change, ΔX1_block = forward_and_backward(.-ΔX2, X1, layer.RB)
    ΔY = tensor_cat(ΔX1 .+ ΔX1_block, ΔX2)
    return inverse((ΔY, tensor_cat(X1, X2 .+ change)), layer.C)
end

inverse_term(Y_curr, Y_new, layer::HyperbolicLayer) = (inverse(Y_curr, Y_new, layer)..., 0)

# The force has the same place in both ways, and its gradient is upstream's.
function backward_inv(ΔX_prev, ΔX_curr, X_prev, X_curr, layer::HyperbolicLayer)
    Y_curr, Y_new = forward(X_prev, X_curr, layer)
    Δ_prev, Δ_curr = resized(layer.action, ΔX_prev), resized(layer.action, ΔX_curr)
    Δ_curr = backward(Δ_curr, Δ_prev, Y_curr, Y_new, layer)[2]
    return resized(layer.action, Δ_curr), .-Δ_prev, Y_curr, Y_new
end

function resized(action, X)
    action == 0 && return X
    return action == 1 ? invHaar_unsqueeze(X) : Haar_squeeze(X)
end

# HINT

function inverse_term(Y, layer::CouplingLayerHINT)
    layer.permute == "both" && (Y = forward(Y, layer.C; logdet=false))
    Xa, Xb, term = uncouple(tensor_split(Y)..., layer, 1)
    layer.permute == "lower" && (Xb = inverse(Xb, layer.C; logdet=false))
    X = tensor_cat(Xa, Xb)
    return layer.permute in ("full", "both") ? inverse(X, layer.C; logdet=false) : X, term
end

function uncouple(Ya::AbstractArray{T,N}, Yb, layer::CouplingLayerHINT, level) where {T,N}
    2size(Ya, N - 1) > 4 || return inverse_term(Ya, Yb, layer.CL[level])
    Xa, term_a = uncoupled(Ya, layer, level + 1)
    _, Yb, term = inverse_term(Xa, Yb, layer.CL[level])
    Xb, term_b = uncoupled(Yb, layer, level + 1)
    return Xa, Xb, term_a + term + term_b
end

function uncoupled(Y, layer, level)
    Xa, Xb, term = uncouple(tensor_split(Y)..., layer, level)
    return tensor_cat(Xa, Xb), term
end

function inverse_term(Zx, Zy, layer::ConditionalLayerHINT)
    Yp, term_y = inverse_term(Zy, layer.CL_Y)
    _, X, term_yx = inverse_term(Yp, Zx, layer.CL_YX)
    Xp, term_x = inverse_term(X, layer.CL_X)
    term = term_x + term_y + term_yx
    isnothing(layer.C_X) && return Xp, Yp, term
    return inverse(Xp, layer.C_X; logdet=false), inverse(Yp, layer.C_Y; logdet=false), term
end

# Steps of a flow: an ActNorm and a layer, over one array, one with a condition, or two.

function inverse_step(X, norm, layer)
    X, term_layer = inverse_term(X, layer)
    X, term = inverse_term(X, norm)
    return X, term + term_layer
end

backward_inv_step(ΔX, X, norm, layer) = backward_inv(backward_inv(ΔX, X, norm)..., layer)

function inverse_step(X, Y, norm_x, norm_y, layer)
    X, Y, term_layer = inverse_term(X, Y, layer)
    Y, term_y = inverse_term(Y, norm_y)
    X, term_x = inverse_term(X, norm_x)
    return X, Y, term_x + term_y + term_layer
end

function backward_inv_step(ΔX, ΔY, X, Y, norm_x, norm_y, layer)
    ΔX, X = backward_inv(ΔX, X, norm_x)
    ΔY, Y = backward_inv(ΔY, Y, norm_y)
    return backward_inv(ΔX, ΔY, X, Y, layer)
end

# Those of a scale, or of all the network, each a tuple of layers.
steps(net::Union{GlowNetwork,NetworkMultiScaleHINT}, i) = zip(net.AN[i, :], net.CL[i, :])
steps(net::NetworkConditionalHINT) = zip(net.AN_X, net.AN_Y, net.CL)
steps(net::NetworkMultiScaleConditionalHINT, i) = zip(net.AN_X[i, :], net.AN_Y[i, :], net.CL[i, :])

function inverse_steps(steps, lanes...)
    total = 0
    for step in reverse(collect(steps))
        lanes..., term = inverse_step(lanes..., step...)
        total += term
        keep!(last(step), lanes...)
    end
    return (lanes..., total)
end

function backward_inv_steps(steps, arrays...)
    for step in steps
        arrays = backward_inv_step(restored(last(step), arrays...)..., step...)
    end
    return arrays
end

inverse_term(Zx, Zy, net::NetworkConditionalHINT) = inverse_steps(steps(net), Zx, Zy)

function inverse_term(Y_curr, Y_new, net::NetworkHyperbolic)
    for layer in reverse(net.HL)
        Y_curr, Y_new = inverse(Y_curr, Y_new, layer)
        keep!(layer, Y_curr, Y_new)
    end
    return Y_curr, Y_new, 0
end

function backward_inv(ΔX_prev, ΔX_curr, X_prev, X_curr, net::NetworkHyperbolic)
    arrays = (ΔX_prev, ΔX_curr, X_prev, X_curr)
    for layer in net.HL
        arrays = backward_inv(restored(layer, arrays...)..., layer)
    end
    return arrays
end

# Networks of several scales, in one or two lanes, or four with gradients.

const Scales = Union{GlowNetwork,NetworkMultiScaleHINT,NetworkMultiScaleConditionalHINT}

squeezes(net) = true
squeezes(net::GlowNetwork) = net.split_scales
squeezer(net) = net.squeezer
squeezer(::NetworkMultiScaleHINT) = WaveletLayer()
splits_after(net, i) = net.split_scales && i < net.L
splits_after(net::GlowNetwork, i) = net.split_scales && (i < net.L || net.L == 1)
parts(net, latent) = InvertibleNetworks.split_states(latent_sizes(net), latent)
parts(net::GlowNetwork, latent) = InvertibleNetworks.split_states(latent, net.Z_dims; L_net=net.L)
parts(net::NetworkMultiScaleConditionalHINT, latent) = InvertibleNetworks.split_states(latent, net.XY_dims)

function inverse_term(latent, net::Union{GlowNetwork,NetworkMultiScaleHINT})
    return up((i, X) -> inverse_steps(steps(net, i), X), net, latent)
end

function inverse_term(Zx, Zy, net::NetworkMultiScaleConditionalHINT)
    return up((i, lanes...) -> inverse_steps(steps(net, i), lanes...), net, Zx, Zy)
end

function up(step, net::Scales, lanes...)
    left, total = nothing, 0
    if net.split_scales
        found = map(lane -> parts(net, lane), lanes)
        left, lanes = map(first, found), map(last, found)
    end
    for i in net.L:-1:1
        splits_after(net, i) && (lanes = map((lane, saved) -> tensor_cat(lane, saved[i]), lanes, left))
        lanes..., term = step(i, lanes...)
        total += term
        squeezes(net) && (lanes = map(squeezer(net).inverse, lanes))
    end
    return (lanes..., total)
end

function backward_inv(ΔX, X, net::Union{GlowNetwork,NetworkMultiScaleHINT})
    return down((i, arrays...) -> backward_inv_steps(steps(net, i), arrays...), net, ΔX, X)
end

# Upstream has one for arguments of any type, which fails.
function backward_inv(
    ΔX::AbstractArray, ΔY::AbstractArray, X::AbstractArray, Y::AbstractArray, net::NetworkMultiScaleConditionalHINT
)
    return down((i, arrays...) -> backward_inv_steps(steps(net, i), arrays...), net, ΔX, ΔY, X, Y)
end

function down(step, net::Scales, lanes...)
    left = map(_ -> AbstractArray[], lanes)
    for i in 1:net.L
        squeezes(net) && (lanes = map(squeezer(net).forward, lanes))
        lanes = step(i, lanes...)
        splits_after(net, i) && (lanes = map(leave!, left, lanes))
    end
    return net.split_scales ? map(InvertibleNetworks.cat_states, left, lanes) : lanes
end

function leave!(left, lane)
    kept, other = tensor_split(lane)
    push!(left, other)
    return kept
end

# Conditional GLOW, whose condition goes along, squeezed.

const UNSQUEEZED = Squeezer(identity, identity)

function inverse_term(Z, C, net::ConditionalGlowNetwork)
    squeeze = net.split_scales ? net.squeezer : UNSQUEEZED
    X, C, left, total = Z, forward(C, net.AN_C; logdet=false), nothing, 0
    net.split_scales && ((left, X) = parts_of_image(net, Z))
    for _ in 1:net.L
        C = squeeze.forward(C)
    end
    for i in net.L:-1:1
        net.split_scales && i < net.L && (X = tensor_cat(X, left[i]))
        for j in net.K:-1:1
            X, term_layer = inverse_term(X, C, net.CL[i, j])
            X, term = inverse_term(X, net.AN[i, j])
            total += term + term_layer
            keep!(net.CL[i, j], X)
        end
        X, C = squeeze.inverse(X), squeeze.inverse(C)
    end
    return X, total
end

# Its latent has the data's shape, which tells all sizes.
function parts_of_image(net, latent)
    set_latent_sizes!(net, length(latent), size(latent)[1:(end-2)]...)
    return InvertibleNetworks.split_states(vec(latent), net.Z_dims)
end

function backward_inv(ΔX, X, C, net::ConditionalGlowNetwork)
    squeeze = net.split_scales ? net.squeezer : UNSQUEEZED
    shape, left = size(X), (AbstractArray[], AbstractArray[])
    C = forward(C, net.AN_C; logdet=false)
    ΔC = zero(C)
    for i in 1:net.L
        ΔX, X, ΔC, C = map(squeeze.forward, (ΔX, X, ΔC, C))
        for j in 1:net.K
            ΔX, X = backward_inv(restored(net.CL[i, j], ΔX, X)..., net.AN[i, j])
            ΔX, X, Δ = backward_inv(ΔX, X, C, net.CL[i, j])
            ΔC = ΔC .+ Δ
        end
        net.split_scales && i < net.L && ((ΔX, X) = map(leave!, left, (ΔX, X)))
    end
    if net.split_scales
        ΔX, X = map((saved, lane) -> reshape(InvertibleNetworks.cat_states(saved, lane), shape), left, (ΔX, X))
    end
    for _ in 1:net.L
        ΔC, C = squeeze.inverse(ΔC), squeeze.inverse(C)
    end
    return ΔX, X, backward(ΔC, C, net.AN_C)[1]
end
