#include "sweeps/sweep_drive.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/sweeps/pretended_sweep.h"

namespace xp::sweeps {
namespace {

class DriveSweep : public testing::PretendedSweep {
 protected:
  run::Workspace workspace() const { return run::load_workspace(run::find_workspace()); }
};

TEST_F(DriveSweep, TakesUpTrialsWhoseRunIsGone) {
  SweepDb db = store();
  work(db);
  EXPECT_EQ(SweepDrive(db.folder(), {}, workspace(), dir_ / "exp").counts().queued, 0);
  tracker::Store(dir_ / ".exp").remove(db.trials(true)[0].run);
  const SweepDrive drive(db.folder(), {}, workspace(), dir_ / "exp");
  EXPECT_EQ(drive.counts().queued, 1);
  EXPECT_EQ(drive.counts().done, 2);
  EXPECT_TRUE(drive.selected_on_test());
}

TEST_F(DriveSweep, WithNothingToDoItStartsNothing) {
  SweepDb db = store();
  work(db);
  SweepDrive drive(db.folder(), {}, workspace(), dir_ / "exp");  // beside which there is no worker
  const auto driven = drive.run();
  ASSERT_TRUE(driven);
  EXPECT_EQ(driven->counts.done, 3);
  EXPECT_EQ(driven->halted, "");
}

TEST_F(DriveSweep, WithoutAWorkersProgramItIsAnError) {
  const SweepDb db = store();
  SweepDrive drive(db.folder(), {}, workspace(), dir_ / "exp");
  EXPECT_THROW(drive.run(), Error);
  EXPECT_THROW(drive.script(), Error);
}

TEST_F(DriveSweep, TheScriptStartsWorkersAndIsAllThatIsMade) {
  const SweepDb db = store();
  std::ofstream(dir_ / "exp-compute") << "a worker";
  SweepPlace place;
  place.slurm = {"--partition=quick"};
  const std::string script = SweepDrive(db.folder(), place, workspace(), dir_ / "exp").script();
  EXPECT_NE(script.find("#SBATCH --partition=quick\n"), std::string::npos) << script;
  EXPECT_NE(script.find(db.spec().id), std::string::npos) << script;
  EXPECT_FALSE(std::filesystem::exists(dir_ / ".exp/frozen"));
  EXPECT_EQ(db.counts().queued, 3);
}

}  // namespace
}  // namespace xp::sweeps
