# Upstream's free functions by name, their arguments by position.

const FUNCTIONS = Dict{String,Function}(
    "squeeze" => (X, pattern) -> squeeze(X; pattern),
    "unsqueeze" => (Y, pattern) -> unsqueeze(Y; pattern),
    "wavelet_squeeze" => (X, type) -> wavelet_squeeze(X),
    "wavelet_unsqueeze" => (Y, type) -> wavelet_unsqueeze(Y),
    "Haar_squeeze" => Haar_squeeze,
    "invHaar_unsqueeze" => invHaar_unsqueeze,
    "tensor_split" => (X, index) -> tensor_split(X; split_index=index),
    "tensor_cat" => tensor_cat,
    "log_likelihood" => (X, μ, σ) -> log_likelihood(X; μ=eltype(X)(μ), σ=eltype(X)(σ)),
    "grad_log_likelihood" => (X, μ, σ) -> ∇log_likelihood(X; μ=eltype(X)(μ), σ=eltype(X)(σ)),
    "mse" => mse,
    "grad_mse" => ∇mse,
    "sample_banana" => (n, c1, c2, seed) -> seeded(() -> sample_banana(n; c=Float32[c1, c2]), seed),
    "sample_swirl" => (n, noise, seed) -> seeded(() -> sample_swirl(n; noise=Float32(noise)), seed),
    "activation_forward" => (activation, x) -> activation.forward(x),
    "activation_inverse" => (activation, y) -> activation.inverse(y),
    "activation_backward" => (activation, Δy, y) -> activation.backward(Δy, y),
    "squeezer_forward" => (squeezer, X) -> squeezer.forward(X),
    "squeezer_inverse" => (squeezer, Y) -> squeezer.inverse(Y),
)

apply(name, args...) = results(FUNCTIONS[name](args...), filter(a -> a isa Array, args))
