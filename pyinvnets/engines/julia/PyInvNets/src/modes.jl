# Upstream calls every mode (`G.forward`, …) through `_predefined_mode`, which evaluates the mode's name in its own
# module: an error inside a precompile workload, in inner layers too. This more specific method looks the name up.
#
# It also converts all parameters to the input's type, in every layer on every call. The bridge has checked the type
# once already, and says so by `CHECKED`.

const CHECKED = Ref(false)

function InvertibleNetworks._predefined_mode(net::Invertible, mode::Symbol, args...; kwargs...)
    CHECKED[] || InvertibleNetworks.convert_params!(InvertibleNetworks.input_type(args[1]), net)
    return getfield(InvertibleNetworks, mode)(args..., net; kwargs...)
end
