# What a program does first, compiled when the package is: a Glow, its layers and parameters, one update.

using PrecompileTools

description(A) = [Int(pointer(A)), ndims(A), size(A)...]

function example_call(function_, handle, arrays, more...)
    numbers = reduce(vcat, map(description, arrays))
    double = eltype(first(arrays)) == Float64
    return function_(handle, double, Int(pointer(numbers)), length(arrays), more...)
end

function example_steps(handle, ::Type{T}) where {T}
    m, v = (zeros(T, sum(prod, handle.shapes)) for _ in 1:2)
    powers = ones(2, length(handle.params))
    GC.@preserve m v powers begin
        moments, velocity = description(m), description(v)
        adam!(handle, T == Float64, Int(pointer([moments; velocity])), Int(pointer(powers)), nothing, 1e-3, 0.9, 0.999, 1e-8, 0.0)
        momentum!(handle, T == Float64, Int(pointer(velocity)), nothing, 1e-3, 0.9)
    end
end

function example_update(handle, X)
    Z, _, kept, _ = example_call(forward_keeping, handle, (X,), 2, true, false)
    ndims(Z) == 1 && set_latent_sizes!(handle, length(Z), size(X)[1:(end-2)]...)
    example_call(call, handle, (Z,), "inverse")
    example_call(forward_by_sample, handle, (X,))
    added_before = added(handle)
    example_call(backward_from, handle, (Z ./ size(X)[end], Z), kept)
    take_back!(handle, added_before)
    keep_again!(handle, kept, 1)
    example_call(backward_from, handle, (Z ./ size(X)[end], Z), kept)
    isempty(without_gradient(handle, nothing)) && example_steps(handle, eltype(X))
    clear_grads!(handle)
    set_data!(handle, 1, borrow_one(eltype(X) == Float64, Int(pointer(description(data(handle, 1))))))
    return grad(handle, 1)
end

# Every keyword, in the order and of the types in which Python passes them.
function example_glow(; split_scales=false)
    names = "logdet nx dense freeze_conv split_scales k1 k2 p1 p2 s1 s2 ndims squeezer activation"
    squeezer = value("ShuffleLayer", "checkerboard")
    activation = value("SigmoidLayer", 0.0, 1.0)
    options = (true, nothing, false, false, split_scales, 3, 1, 1, 0, 1, 1, 2, squeezer, activation)
    handle = create("NetworkGlow", 1, names, 2, 4, 1, 2, options...)
    describe(handle)
    upstream_version()
    return handle
end

# As Python makes a call: PythonCall compiles a conversion for each type of argument.
function example_arguments()
    arguments = ("text", 1, 1.0, true, nothing, PythonCall.pytuple((1, 2.0)), PythonCall.pylist((1, 2.0)))
    foreach(argument -> PythonCall.pyconvert(Any, PythonCall.Py(argument)), arguments)
    return PythonCall.JlWrap.pyjlany_call((values...) -> nothing, PythonCall.pytuple(arguments), PythonCall.pydict())
end

@setup_workload begin
    pixels = randn(Float32, 4, 4, 2, 3)
    @compile_workload begin
        example_update(example_glow(), apply("sample_banana", 6, 1.0, 4.0, 1)[1])
        example_update(example_glow(; split_scales=true), pixels)
        double = example_glow()
        flag = [false]
        GC.@preserve flag convert_all!(double, true, Int(pointer(flag)))
        example_update(double, Float64.(pixels))
        example_arguments()
    end
end

# How juliacall calls these functions, and shows their arrays to NumPy.
for f in (adam!, apply, borrow_one, call, clear_grads!, convert_all!, create, data, describe, forward_by_sample, grad, momentum!,
    set_data!, set_grad!, forward_keeping, backward_from, has_steps, added,
    net_of, end_an_array, safe_enter_address, safe_leave_address, set_fast!, set_latent_sizes!, upstream_version, value, without_gradient)
    precompile(PythonCall.JlWrap.pyjlany_call, (typeof(f), PythonCall.Py, PythonCall.Py))
end
for T in (Float32, Float64), N in 1:5
    precompile(PythonCall.JlWrap.pyjlarray_buffer_info, (Array{T,N},))
    precompile(PythonCall.Py, (Array{T,N},))
    precompile(PythonCall.Py, (Tuple{Array{T,N},Float64},))
    precompile(PythonCall.Py, (Tuple{Array{T,N},Array{T,N}},))
    precompile(PythonCall.Py, (Tuple{Array{T,N},Float64,Kept,Float64},))
    precompile(PythonCall.Py, (Tuple{Array{T,N},Array{T,N},Int,Int,Float64},))
    precompile(PythonCall.JlWrap.Cjl._pyjl_get_buffer_impl, (Ptr{PythonCall.C.PyObject}, Ptr{PythonCall.C.Py_buffer}, Cint, Array{T,N}, typeof(PythonCall.JlWrap.pyjlarray_buffer_info)))
end
