#include "core/train/job.h"

#include <gtest/gtest.h>

#include "core/graph/stage.h"
#include "core/schema/stage_options.h"

namespace xp::train {
namespace {

TEST(Job, ComesBackAsItWas) {
  schema::TrainStageOptions options;
  options.seed = 7;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kSynthetic);
  options.dataset.clips = 33;
  options.model.arch = "passt-s";
  options.model.dropout = 0.25;
  options.tome.emplace();
  options.tome->r.is_list = true;
  options.tome->r.list = {3, 2};
  options.kd.emplace();
  options.kd->lambda = 0.3;
  options.optimiser.lr = 1.25e-5;
  options.train.select = "max:val.mAP";
  graph::StageContext context;
  context.name = "train@2";
  context.output = "/out";
  context.inputs.push_back({"data", "/in", "output", "prepare", "key", {}});
  context.resources.devices = {"cpu", "cpu:1"};
  context.depth = graph::Depth::kOverfit;
  const dist::Job job = job_of(options, context);
  EXPECT_EQ(job.workers, options.train.workers);
  graph::StageContext read;
  EXPECT_EQ(read_job(job.text, read).text, job.text);
  EXPECT_EQ(read.name, context.name);
  EXPECT_EQ(read.inputs.front().path, context.inputs.front().path);
  EXPECT_EQ(read.resources.devices, context.resources.devices);
  options.optimiser.lr *= 2;
  EXPECT_NE(job_of(options, context).text, job.text) << "every option is in it";
}

}  // namespace
}  // namespace xp::train
