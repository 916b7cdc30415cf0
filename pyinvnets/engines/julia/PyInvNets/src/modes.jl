# Upstream calls every mode (`G.forward`, …) through `_predefined_mode`, which evaluates the mode's name in its own
# module: an error inside a precompile workload, in inner layers too. This more specific method looks the name up.
#
# It also converts all parameters to the input's type, in every layer on every call. The bridge has checked the type
# once already, and says so by `CHECKED`.
#
# A mode holds the task that it is on for, and Python code called from within is outside of it: another thread's call,
# or one from there, goes its own way.

const Mode = Base.RefValue{Union{Nothing,Task}}

const CHECKED = Mode(nothing)
const BY_SAMPLE = Mode(nothing)

is_on(mode::Mode) = mode[] === current_task()

with(compute, mode::Mode) = with_set(compute, mode, current_task())
without(compute, mode::Mode) = with_set(compute, mode, nothing)

function with_set(compute, mode, value)
    before = mode[]
    mode[] = value
    try
        return compute()
    finally
        mode[] = before
    end
end

outside(call_python) = without(() -> without(call_python, BY_SAMPLE), CHECKED)

InvertibleNetworks._predefined_mode(net::Invertible, mode::Symbol, args...; kwargs...) = plain_mode(net, mode, args...; kwargs...)

function plain_mode(net, mode, args...; kwargs...)
    is_on(CHECKED) || InvertibleNetworks.convert_params!(InvertibleNetworks.input_type(args[1]), net)
    return getfield(InvertibleNetworks, mode)(args..., net; kwargs...)
end
