// A checkpoint knows its classes by their ids: in another order they are found, others are not.
#include "core/load/class_ids.h"

#include <algorithm>
#include <fstream>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/load/open_model.h"
#include "core/load/stage_model.h"
#include "core/load/weights_file.h"
#include "core/model/files/class_order.h"
#include "core/model/registry.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

const load::ClassList kOurs = {{"dog", "Dog"}, {"cat", "Cat"}, {"cow", "Cow"}};

TEST(ClassIds, AreFoundInAnyOrderOrNot) {
  EXPECT_EQ(load::places_by_id(kOurs, {{"cow", ""}, {"dog", ""}, {"cat", ""}}),
            (std::vector<int64_t>{1, 2, 0}));
  EXPECT_EQ(load::places_by_id(kOurs, {{"cow", ""}, {"dog", ""}, {"hen", ""}}), std::nullopt);
  EXPECT_EQ(load::first_absent(kOurs, {{"cow", ""}, {"dog", ""}, {"hen", ""}}), "cat");
  EXPECT_TRUE(load::says_ids(kOurs));
  EXPECT_FALSE(load::says_ids({{"0", "a"}, {"1", "b"}}));
  EXPECT_NO_THROW(load::require_same_classes(kOurs, kOurs, "x"));
  EXPECT_THROW(load::require_same_classes(kOurs, {{"cat", ""}, {"dog", ""}, {"cow", ""}}, "x"),
               Error);
  EXPECT_THROW(load::require_same_classes(kOurs, {{"dog", ""}}, "x"), Error);
}

schema::ModelOptions small(schema::Family family, const std::string& arch) {
  auto options = schema::ModelOptions::of_kind(family);
  options.arch = arch;
  if (!schema::is_transformer(family)) return options;
  options.dim = 8;
  options.heads = 2;
  options.depth = 1;
  options.fstride = options.tstride = 16;
  return options;
}

TEST(ClassOrder, LogitsFollowTheirClassesInEveryHead) {
  const at::NoGradGuard no_grad;
  std::vector<schema::ModelOptions> all = {small(schema::Family::k_ast, "ast-nano"),
                                           small(schema::Family::k_passt, "passt-s"),
                                           small(schema::Family::k_pool, "pool")};
  for (const schema::CnnHead head :
       {schema::CnnHead::kMlp, schema::CnnHead::kConv, schema::CnnHead::kAttention}) {
    all.push_back(small(schema::Family::k_mn, "mn01"));
    all.back().cnn_head = head;
  }
  const std::vector<int64_t> from = {3, 0, 4, 1, 2};
  for (const schema::ModelOptions& options : all) {
    SCOPED_TRACE(options.arch);
    const auto model =
        model::make_model({.options = options, .geometry = {64, 64}, .classes = 5, .seed = 7});
    const at::Tensor mel = at::randn({2, 64, 64});
    const at::Tensor before = model->forward(model::Input::whole(mel), {}).logits;
    model::reorder_classes(*model, from);
    const at::Tensor after = model->forward(model::Input::whole(mel), {}).logits;
    EXPECT_TRUE(at::allclose(after, before.index_select(1, at::tensor(from)), 1e-5, 1e-6));
    EXPECT_FALSE(at::equal(after, before));
  }
}

class StartOfTraining : public ::testing::Test {
 protected:
  /// A checkpoint of the classes, with weights of seed 1.
  fs::path written(const load::ClassList& classes) {
    load::Carried carried;
    carried.model = options_;
    carried.frontend = frontend_;
    carried.geometry = {64, 64};
    carried.classes = classes;
    load::write_weights(folder_.path(), "last", *made(1), carried);
    return folder_ / "last.safetensors";
  }
  std::unique_ptr<model::Model> made(uint64_t seed) const {
    return model::make_model(
        {.options = options_, .geometry = {64, 64}, .classes = 3, .seed = seed});
  }
  /// A model of seed 2 that starts from the file, for kOurs.
  std::unique_ptr<model::Model> started(const fs::path& file) {
    auto model = made(2);
    graph::StageContext context;
    said_.clear();
    context.say = [this](std::string_view line) { said_ += line; };
    graph::StageInput input;
    input.path = file;
    load::initialise(*model, options_, frontend_, kOurs, input, context);
    return model;
  }
  static at::Tensor head(const model::Model& model) {
    return model::class_tensors(model).front().tensor;
  }

  xp::testing::TempDir folder_;
  schema::ModelOptions options_ = small(schema::Family::k_ast, "ast-nano");
  schema::FrontendOptions frontend_;
  std::string said_;
};

TEST_F(StartOfTraining, ClassesInAnotherOrderArePutInOurs) {
  const auto same = started(written(kOurs));
  EXPECT_EQ(said_.find("order"), std::string::npos) << said_;
  EXPECT_TRUE(at::equal(head(*same), head(*made(1))));
  const auto moved = started(written({{"cow", "Cow"}, {"dog", "Dog"}, {"cat", "Cat"}}));
  EXPECT_NE(said_.find("its 3 classes are in another order: put in ours by their ids"),
            std::string::npos)
      << said_;
  EXPECT_TRUE(at::equal(head(*moved), head(*made(1)).index_select(0, at::tensor({1, 2, 0}))));
}

TEST_F(StartOfTraining, OtherClassesGetANewClassifierAndTheBodyStays) {
  const auto other = started(written({{"hen", "Hen"}, {"dog", "Dog"}, {"cat", "Cat"}}));
  EXPECT_NE(said_.find("its 3 classes are others ('cow' is not among them): the classifier is new"),
            std::string::npos)
      << said_;
  EXPECT_TRUE(at::equal(head(*other), head(*made(2))));
  const auto file = made(1);
  EXPECT_TRUE(at::equal(other->state().front().tensor, file->state().front().tensor));
}

TEST_F(StartOfTraining, AFileThatNamesNoClassesIsTakenInItsOrder) {
  const auto taken = started(written({{"0", "0"}, {"1", "1"}, {"2", "2"}}));
  EXPECT_NE(said_.find("it does not say its classes"), std::string::npos) << said_;
  EXPECT_TRUE(at::equal(head(*taken), head(*made(1))));
}

TEST_F(StartOfTraining, LabelsAreFoundByIdOrRefused) {
  const fs::path file = written(kOurs), labels = folder_ / "labels.csv";
  load::OpenOptions options;
  options.labels = labels;
  std::ofstream(labels) << "index,mid,display_name\n0,cow,Kuh\n1,hen,Huhn\n2,cat,Katze\n"
                           "3,dog,Hund\n";
  EXPECT_EQ(load::open_model(file.string(), options).classes,
            (load::ClassList{{"dog", "Hund"}, {"cat", "Katze"}, {"cow", "Kuh"}}));
  std::ofstream(labels) << "index,mid,display_name\n0,cow,Kuh\n1,hen,Huhn\n2,cat,Katze\n";
  try {
    load::open_model(file.string(), options);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    EXPECT_TRUE(error.message().starts_with("no class 'dog', which the checkpoint has"))
        << error.message();
  }
}

TEST(CarriedLoss, IsKeptAndMayBeAbsent) {
  load::Carried carried;
  carried.model = schema::ModelOptions::of_kind(schema::Family::k_ast);
  carried.model.arch = "ast-nano";
  EXPECT_EQ(load::parse_carried(load::carried_text(carried)).loss, std::nullopt);
  EXPECT_EQ(load::carried_text(carried).find("loss"), std::string::npos);
  carried.loss = schema::Loss::kCe;
  EXPECT_EQ(load::parse_carried(load::carried_text(carried)).loss, schema::Loss::kCe);
}

}  // namespace
}  // namespace xp::train
