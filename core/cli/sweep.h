#pragma once

#include <filesystem>

#include "core/run/workspace.h"
#include "sweeps/sweep_drive.h"

namespace xp::cli {

class Arguments;
struct Session;

/// Where trials are carried out, as `exp sweep` and `exp sweeps resume` take it.
struct PlaceOptions : sweeps::SweepPlace {
  bool print = false;  ///< slurm: print the job script, start nothing
};
void declare_place(Arguments& declared, PlaceOptions& place);

/// Works a sweep off and prints what came of it. Returns the exit code. With `place.print` it
/// prints the job script alone, and `folder` is a SweepSketch's.
int drive_sweep(const std::filesystem::path& folder, const PlaceOptions& place,
                const run::Workspace& workspace, const Session& session);

}  // namespace xp::cli
