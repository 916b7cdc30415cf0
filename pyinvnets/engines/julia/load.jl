# How PyInvNets is loaded: what takes long is announced, and every copy of pyinvnets has a compiled cache of its own.
module LoadPyInvNets

using Base.CoreLogging: AbstractLogger, Debug, current_logger, with_logger
import Base.CoreLogging: catch_exceptions, handle_message, min_enabled_level, shouldlog

# Julia tells what it begins to compile among its messages for debugging; all others go where they went.
struct Announcer <: AbstractLogger
    others::AbstractLogger
end

min_enabled_level(::Announcer) = Debug
catch_exceptions(logger::Announcer) = catch_exceptions(logger.others)
shouldlog(logger::Announcer, level, _module, group, id) = _module === Base || goes_on(logger, level, _module, group, id)

function goes_on(logger, level, _module, group, id)
    return level >= min_enabled_level(logger.others) && shouldlog(logger.others, level, _module, group, id)
end

function handle_message(logger::Announcer, level, message, _module, group, id, file, line; details...)
    _module === Base && announce(string(message))
    goes_on(logger, level, _module, group, id) || return nothing
    return handle_message(logger.others, level, message, _module, group, id, file, line; details...)
end

function announce(message)
    found = match(r"^Precompiling (\w+)", message)
    found === nothing && return nothing
    what, long = found[1] == "PyInvNets" ? ("its Julia side", "a minute or two") : (found[1] * ".jl", "up to ten minutes")
    println(stderr, "pyinvnets: compiling $what, $long, this once")
    return nothing
end

function load(folder, depots)
    return with_logger(Announcer(current_logger())) do
        is_compiled(depots) || load_needed(folder)
        prepend!(DEPOT_PATH, depots)
        try
            folder in LOAD_PATH || push!(LOAD_PATH, folder)
            return Base.require(Main, :PyInvNets)
        finally
            deleteat!(DEPOT_PATH, eachindex(depots))
        end
    end
end

# A compiled PyInvNets finds the very packages that it was compiled with, where a depot has several compiled ones.
is_compiled(depots) = any(depot -> isdir(joinpath(depot, "compiled", "v$(VERSION.major).$(VERSION.minor)")), depots)

# Loaded before, these are not compiled into the depots of one copy.
function load_needed(folder)
    for (name, uuid) in Base.parsed_toml(joinpath(folder, "PyInvNets", "Project.toml"))["deps"]
        Base.require(Base.PkgId(Base.UUID(uuid), name))
    end
end

end
