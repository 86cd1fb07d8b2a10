// The example of docs/adding_a_model.md.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/model/layers.h"
#include "core/model/model.h"

namespace xp::model {
namespace {

// clang-format off
/// Mean and deviation of every mel bin, then one linear layer.
class Pool : public Model {
 public:
  Pool(Geometry input, int64_t classes, const Init& init)
      : classes_(classes), bins_(input.F), linear_(2 * input.F, classes, init.child("head")) {}

  Output forward(const at::Tensor& mel, const ForwardContext& /*context*/) const override {
    Output output;
    output.embedding = at::cat({mel.mean(2), mel.std(2)}, 1);
    output.logits = linear_(output.embedding);
    return output;
  }
  int64_t embedding_size() const override { return 2 * bins_; }
  int64_t classes() const override { return classes_; }
  Placement placement(std::string_view /*parameter*/) const override { return {0, true}; }
  int64_t layers() const override { return 1; }

 protected:
  void members(Members& list) override { list.child("head", linear_); }

 private:
  int64_t classes_, bins_;
  Linear linear_;
};
// clang-format on

TEST(AddingAModel, TheExampleTrains) {
  Pool model({16, 20}, 3, Init(1));
  const at::Tensor mel = at::randn({4, 16, 20});
  const Output out = model.forward(mel, {});
  EXPECT_EQ(out.logits.sizes(), (std::vector<int64_t>{4, 3}));
  out.logits.square().sum().backward();
  ASSERT_EQ(model.parameters().size(), 2U);
  EXPECT_EQ(model.parameters()[0].name, "head.weight");
  EXPECT_TRUE(model.parameters()[0].tensor.grad().defined());
  EXPECT_EQ(model.parameter_count(), 3 * 32 + 3);
  model.to(at::kDouble);
  EXPECT_EQ(model.forward(mel.to(at::kDouble), {}).logits.scalar_type(), at::kDouble);
}

TEST(AddingAModel, ThePageShowsThisExample) {
  const char* const root = std::getenv("XP_SOURCE_DIR");
  if (root == nullptr) GTEST_SKIP() << "XP_SOURCE_DIR is unset";
  const auto text_of = [&](const char* file) {
    std::ifstream in(std::string(root) + '/' + file);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  };
  const std::string page = text_of("docs/adding_a_model.md");
  const size_t begin = page.find("```cpp\n") + 7;
  const std::string example = page.substr(begin, page.find("```", begin) - begin);
  ASSERT_GT(example.size(), 500U);
  EXPECT_NE(text_of("tests/model/adding_test.cpp").find(example), std::string::npos);
}

}  // namespace
}  // namespace xp::model
