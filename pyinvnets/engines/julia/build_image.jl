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

Pkg.activate(joinpath(work, "compiler"))
import PackageCompiler
PackageCompiler.create_sysimage(
    ["PyInvNets"];
    sysimage_path=image,
    project=copied,
    precompile_statements_file=trace,
    cpu_target=get(ENV, "JULIA_CPU_TARGET", "native"),
)
