#include "core/base/gpu.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace xp {
namespace {

class Driver : public ::testing::Test {
 protected:
  static GpuDriver ask(const char* gpus, const char* version, const char* fault = "0") {
    setenv("FAKE_CUDA_GPUS", gpus, 1);
    setenv("FAKE_CUDA_VERSION", version, 1);
    setenv("FAKE_CUDA_FAULT", fault, 1);
    const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    return ask_gpu_driver((beside / "gpu_driver_module.so").c_str());
  }
};

TEST_F(Driver, NamesItsGpus) {
  const GpuDriver driver = ask("2", "13010");
  ASSERT_EQ(driver.gpus.size(), 2U);
  EXPECT_EQ(driver.gpus[0].uuid, "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
  EXPECT_EQ(driver.gpus[0].name, "NVIDIA H200");
  EXPECT_EQ(driver.gpus[0].major, 9);
  EXPECT_EQ(driver.gpus[1].uuid.substr(0, 12), "MIG-10111213") << "a part of a GPU";
  EXPECT_EQ(driver.cuda_text(), "13.1");
  EXPECT_EQ(driver.fault(13), "");
}

TEST_F(Driver, TooOldIsSaidWithBothVersions) {
  const std::string fault = ask("1", "12040").fault(13);
  EXPECT_NE(fault.find("12.4"), std::string::npos) << fault;
  EXPECT_NE(fault.find("13.0"), std::string::npos) << fault;
  EXPECT_NE(fault.find("--devices cpu"), std::string::npos) << fault;
  EXPECT_EQ(ask("1", "13000").fault(13), "");
  EXPECT_EQ(ask("1", "14000").fault(13), "") << "drivers run programs of older CUDA";
}

TEST_F(Driver, WithoutGpusThereIsNothingToComplainAbout) {
  EXPECT_EQ(ask("0", "12040").fault(13), "");
  const GpuDriver broken = ask("2", "13000", "100");
  EXPECT_TRUE(broken.there);
  EXPECT_TRUE(broken.gpus.empty()) << "a driver that does not start shows none";
  const GpuDriver none = ask_gpu_driver("libno-such-driver.so.1");
  EXPECT_FALSE(none.there);
  EXPECT_TRUE(none.gpus.empty());
}

TEST_F(Driver, ACpuBuildUsesNoGpu) {
  if (built_with_cuda()) GTEST_SKIP() << "a build for GPUs";
  EXPECT_EQ(usable_gpus(), 0);
}

}  // namespace
}  // namespace xp
