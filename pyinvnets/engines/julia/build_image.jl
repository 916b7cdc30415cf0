# Builds a system image of all that the Julia engine loads. Arguments: the image, a folder to work in, the project, the
# folder of PyInvNets, and the methods that a first run compiled.

import Pkg

image, work, project, package, trace = ARGS

Pkg.activate(joinpath(work, "compiler"))
Pkg.add(name="PackageCompiler", version="2")

# A copy of the project with PyInvNets in it, everything else as it is.
copied = mkpath(joinpath(work, "project"))
for file in ("Project.toml", "Manifest.toml")
    cp(joinpath(project, file), joinpath(copied, file); force=true)
end
Pkg.activate(copied)
Pkg.offline(true)
Pkg.develop(; path=package, preserve=Pkg.PRESERVE_ALL)

# What packages do as they load was compiled with them, so that the first run did not have to. Their compiled code does
# not go into an image, nor does it help where packages are loaded without it, as here.
loading = joinpath(work, "loading.jl")
without_code = `$(Base.julia_cmd()) --startup-file=no --pkgimages=no --project=$copied`
run(`$without_code -e "import Pkg; Pkg.precompile()"`)
run(`$without_code --trace-compile=$loading -e "import PyInvNets"`)

Pkg.activate(joinpath(work, "compiler"))
import PackageCompiler
PackageCompiler.create_sysimage(
    ["PyInvNets"];
    sysimage_path=image,
    project=copied,
    precompile_statements_file=[trace, loading],
    cpu_target=get(ENV, "JULIA_CPU_TARGET", "native"),
)
