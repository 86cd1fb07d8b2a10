// docs/adding_a_model.md takes the family pool for its example: what the page says of it is so.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/model/registry.h"
#include "core/schema/cost.h"
#include "core/schema/model.h"
#include "tests/testing/temp_dir.h"

namespace xp::model {
namespace {

schema::ModelOptions pool_options() {
  schema::ModelOptions options = schema::ModelOptions::of_kind(schema::Family::k_pool);
  options.arch = "pool";
  return options;
}

TEST(AddingAModel, TheExampleTrains) {
  const auto model =
      make_model({.options = pool_options(), .geometry = {16, 20}, .classes = 3, .seed = 1});
  const at::Tensor mel = at::randn({4, 16, 20});
  const Output out = model->forward(Input::whole(mel), {});
  EXPECT_EQ(out.logits.sizes(), (std::vector<int64_t>{4, 3}));
  out.logits.square().sum().backward();
  ASSERT_EQ(model->parameters().size(), 2U);
  EXPECT_EQ(model->parameters()[0].name, "head.weight");
  EXPECT_TRUE(model->parameters()[0].tensor.grad().defined());
  EXPECT_EQ(model->parameter_count(), schema::pool_cost(pool_options(), {16, 20}, 3).parameters);
  model->to(at::kDouble);
  EXPECT_EQ(model->forward(Input::whole(mel.to(at::kDouble)), {}).logits.scalar_type(),
            at::kDouble);
}

TEST(AddingAModel, PaddingChangesNothingInTheExample) {
  const auto model =
      make_model({.options = pool_options(), .geometry = {16, 20}, .classes = 3, .seed = 1});
  const at::Tensor mel = at::randn({2, 16, 20});
  const at::Tensor together = model->forward({{mel, {20, 9}}}, {}).logits;
  const at::Tensor alone =
      model->forward(Input::whole(mel.narrow(0, 1, 1).narrow(2, 0, 9)), {}).logits;
  EXPECT_TRUE(at::allclose(together.narrow(0, 1, 1), alone, 1e-5, 1e-6));
}

/// Every code block of the page that begins with "// FILE" is in that file, word for word.
TEST(AddingAModel, ThePageShowsTheFiles) {
  const std::string page = read_file(testing::source_dir() / "docs/adding_a_model.md");
  int blocks = 0;
  for (size_t at = page.find("```cpp\n"); at != page.npos; at = page.find("```cpp\n", at + 1)) {
    const size_t begin = at + 7;
    const std::string block = page.substr(begin, page.find("```", begin) - begin);
    ASSERT_EQ(block.substr(0, 3), "// ") << block;
    const size_t line = block.find('\n');
    const std::string file = block.substr(3, line - 3);
    EXPECT_NE(read_file(testing::source_dir() / file).find(block.substr(line + 1)),
              std::string::npos)
        << file << " does not have\n"
        << block;
    ++blocks;
  }
  EXPECT_EQ(blocks, 4);
}

}  // namespace
}  // namespace xp::model
