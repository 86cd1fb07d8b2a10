#include "sweeps/sweep_store.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

std::optional<fs::path> earlier_sweep(const run::Workspace& workspace, const std::string& family) {
  for (const fs::path& folder : sweep_folders(workspace.exp_folder())) {
    try {
      if (SweepDb::open(folder).spec().family == family) return folder;
    } catch (const Error& error) {
      log::warn("{}", error.message());
    }
  }
  return std::nullopt;
}

fs::path store_sweep(const std::optional<fs::path>& earlier, SweepSpec& spec,
                     const std::vector<Trial>& trials, const fs::path& sweeps_folder, int jobs) {
  if (!earlier) {
    spec.id = make_ulid();
    spec.lag = jobs <= 1 ? 0 : 2 * (jobs - 1);
    fs::path folder = sweeps_folder / spec.id;
    SweepDb db = SweepDb::create(folder, spec);
    if (spec.strategy == "grid") db.add(trials, false);
    return folder;
  }
  SweepDb db = SweepDb::open(*earlier);
  const SweepSpec before = db.spec();
  spec.id = before.id;
  spec.lag = before.lag;
  spec.created_ns = before.created_ns;
  db.update_spec(spec);
  if (spec.strategy == "grid") db.add(trials, false);
  return *earlier;
}

SweepSketch::SweepSketch() : folder_(fs::temp_directory_path() / ("exp-sweep-" + make_ulid())) {
  make_folders(folder_);
}

SweepSketch::~SweepSketch() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path SweepSketch::copy_of(const fs::path& sweep) const {
  fs::path out = folder_ / sweep.filename();
  make_folders(out);
  SweepDb::read(sweep).copy_to(out);
  return out;
}

}  // namespace xp::sweeps
