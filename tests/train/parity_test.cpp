#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/evaluate/loss.h"
#include "core/train/schedule.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::train {
namespace {

using testing::Array;
using testing::Case;
using testing::floats_of;
using testing::Report;
using testing::tensor_of;

void compare_series(const nlohmann::json& series, const Case& expected, Report& report) {
  const auto name = series.at("name").get<std::string>();
  const auto number = [&](const char* key) { return series.at(key).get<double>(); };
  const auto whole = [&](const char* key) { return series.at(key).get<int64_t>(); };
  std::vector<double> values;
  if (name.starts_with("exp_lin") || name.starts_with("cosine")) {
    schema::ScheduleOptions options;
    const bool cosine = name.starts_with("cosine");
    options.kind = cosine ? schema::ScheduleKind::kCosine : schema::ScheduleKind::kExpLinear;
    options.warmup_epochs = whole(cosine ? "cycle_len" : "warmup");
    options.down_from_epoch = whole(cosine ? "ramp_down_start" : "start_rampdown");
    options.down_epochs = cosine ? 0 : whole("rampdown_length");
    options.last_factor = number(cosine ? "last_lr_value" : "last_value");
    const Schedule schedule(options, 1.0, 3);
    for (int64_t epoch = 0; epoch < whole("epochs"); ++epoch)
      values.push_back(schedule.lr(epoch * 3 + 1));
  } else if (name.starts_with("ast_multistep") || name.starts_with("ssast_finetune")) {
    schema::ScheduleOptions options;
    options.kind = schema::ScheduleKind::kStep;
    options.first_epoch = whole("lrscheduler_start");
    options.every_epochs = whole("lrscheduler_step");
    options.factor = number("lrscheduler_decay");
    options.warmup_steps = series.at("warmup").get<bool>() ? 1000 : 0;
    const int64_t steps = whole("steps_per_epoch");
    const Schedule schedule(options, number("lr"), steps);
    const bool head = name.starts_with("ssast");
    for (int64_t step = 0; step < steps * whole("epochs"); ++step) {
      values.push_back(schedule.lr(step));
      if (head) values.push_back(schedule.lr(step) * number("head_lr"));
    }
  } else if (name.starts_with("ssast_pretrain")) {
    schema::ScheduleOptions options;
    options.kind = schema::ScheduleKind::kPlateau;
    options.factor = 0.5;
    options.patience = whole("patience");
    options.warmup_steps = 1000;
    const int64_t steps = whole("steps_per_evaluation");
    Schedule schedule(options, number("lr"), steps);
    const auto& metric = expected.at("input/plateau_metric_0").f64;
    for (int64_t round = 0; round < whole("evaluations"); ++round) {
      for (int64_t step = 0; step < steps; ++step)
        values.push_back(schedule.lr(round * steps + step));
      schedule.observe((round + 1) * steps, metric[static_cast<size_t>(round)]);
    }
  } else {
    report.fail("a series of an unknown kind: " + name);
    return;
  }
  report.compare("output/" + name, values);
}

void compare_schedules(const Case& expected, Report& report) {
  for (const auto& series : expected.json.at("series")) compare_series(series, expected, report);
}

void compare_losses(const Case& expected, Report& report) {
  const at::Tensor z = tensor_of(expected.at("input/logits"));
  const at::Tensor y = tensor_of(expected.at("input/y"));
  const at::Tensor soft = tensor_of(expected.at("input/y_soft"));
  report.compare("output/bce", floats_of(evaluate::label_loss(schema::Loss::kBce, z, y)));
  report.compare("output/bce_soft", floats_of(evaluate::label_loss(schema::Loss::kBce, z, soft)));
  report.compare("output/ce_argmax", floats_of(evaluate::label_loss(schema::Loss::kCe, z, y)));
  // AST's validation applies the sigmoid twice; our own is the loss of the logits.
  report.compare("output/ast_valid_bce",
                 floats_of(evaluate::bce_elements(at::sigmoid(z), y).mean()));
}

void compare_kd(const Case& expected, Report& report) {
  const at::Tensor y = tensor_of(expected.at("input/y"));
  const at::Tensor bank = tensor_of(expected.at("input/teacher_logits"));
  const at::Tensor index = tensor_of(expected.at("input/teacher_index"));
  const at::Tensor perm = tensor_of(expected.at("input/perm"));
  const at::Tensor lam = tensor_of(expected.at("input/lam"));
  schema::KdOptions options;
  options.lambda = expected.json.at("kd_lambda").get<double>();
  options.temperature = expected.json.at("temperature").get<double>();
  // The original's index -1 picks the last row; it zeroes a clip without a row of its own only.
  const at::Tensor present = index.ge(0);
  const at::Tensor rows = bank.index_select(0, index.remainder(bank.size(0)));
  const at::Tensor all = at::ones_like(present);
  for (const bool mixed : {false, true}) {
    const std::string prefix = mixed ? "output/mixup_" : "output/plain_";
    const at::Tensor z = tensor_of(expected.at("input/logits")).requires_grad_();
    at::Tensor labels = y;
    evaluate::SoftTarget soft = evaluate::soft_target(rows, all, options);
    if (mixed) {
      labels = y * lam.unsqueeze(1) + y.index_select(0, perm) * (1 - lam.unsqueeze(1));
      soft =
          evaluate::mix(soft, evaluate::soft_target(rows.index_select(0, perm), all, options), lam);
    }
    soft.weight = soft.weight * present;
    soft.probability = soft.probability * present.unsqueeze(1);
    const at::Tensor hard = evaluate::label_loss(schema::Loss::kBce, z, labels);
    const at::Tensor teacher = evaluate::soft_loss(options, z, soft);
    const at::Tensor total = evaluate::kd_loss(options.lambda, hard, teacher);
    torch::autograd::backward({total}, {});
    report.compare(prefix + "hard", floats_of(hard));
    report.compare(prefix + "soft", floats_of(teacher));
    report.compare(prefix + "total", floats_of(total));
    report.compare(prefix + "grad", floats_of(z.grad()));
  }
}

/// Teacher and student at one temperature: rows, means and gradient of each variant.
void compare_student_temperature(const Case& expected, Report& report) {
  const at::Tensor y = tensor_of(expected.at("input/y"));
  const at::Tensor bank = tensor_of(expected.at("input/teacher_logits"));
  const at::Tensor index = tensor_of(expected.at("input/teacher_index"));
  const at::Tensor perm = tensor_of(expected.at("input/perm"));
  const at::Tensor lam = tensor_of(expected.at("input/lam"));
  const at::Tensor present = index.ge(0);
  const at::Tensor rows = bank.index_select(0, index.clamp_min(0));
  for (const auto& variant : expected.json.at("variants")) {
    schema::KdOptions options;
    options.lambda = variant.at("lambda");
    options.temperature = variant.at("temperature");
    options.student_temperature = variant.at("student_temperature");
    const bool softmax = variant.at("target") == "softmax";
    options.target = softmax ? schema::KdTarget::kSoftmax : schema::KdTarget::kSigmoid;
    const at::Tensor z = tensor_of(expected.at("input/logits")).requires_grad_();
    at::Tensor labels = y;
    evaluate::SoftTarget soft = evaluate::soft_target(rows, present, options);
    if (variant.at("mixed")) {
      labels = y * lam.unsqueeze(1) + y.index_select(0, perm) * (1 - lam.unsqueeze(1));
      soft = evaluate::mix(
          soft,
          evaluate::soft_target(rows.index_select(0, perm), present.index_select(0, perm), options),
          lam);
    }
    const bool masked = variant.at("masked");
    const auto kind = masked    ? schema::Loss::kMaskedBce
                      : softmax ? schema::Loss::kCe
                                : schema::Loss::kBce;
    const at::Tensor mask = masked ? tensor_of(expected.at("input/mask")) : at::Tensor();
    const at::Tensor hard = evaluate::label_loss(kind, z, labels, mask);
    const at::Tensor teacher = evaluate::soft_loss(options, z, soft);
    const at::Tensor total = evaluate::kd_loss(options.lambda, hard, teacher);
    torch::autograd::backward({total}, {});
    std::vector<float> each;
    for (int64_t row = 0; row < z.size(0); ++row) {
      const evaluate::SoftTarget one{soft.probability.narrow(0, row, 1),
                                     soft.weight.narrow(0, row, 1)};
      each.push_back(evaluate::soft_loss(options, z.detach().narrow(0, row, 1), one).item<float>());
    }
    const std::string prefix = "output/" + variant.at("key").get<std::string>() + "/";
    report.compare(prefix + "hard", floats_of(hard));
    report.compare(prefix + "soft", floats_of(teacher));
    report.compare(prefix + "soft_rows", each);
    report.compare(prefix + "total", floats_of(total));
    report.compare(prefix + "grad", floats_of(z.grad()));
  }
}

void compare_mixup(const Case& expected, Report& report) {
  const auto at = [&](const char* name) { return tensor_of(expected.at(name)); };
  const at::Tensor perm = at("input/perm");
  const at::Tensor lam = at("input/lam");
  const auto mixed = [&](const at::Tensor& values, const at::Tensor& weight) {
    return values * weight + values.index_select(0, perm) * (1 - weight);
  };
  const at::Tensor y_mixed = mixed(at("input/y"), lam.unsqueeze(1));
  report.compare("output/y_mixed", floats_of(y_mixed));
  report.compare("output/bce_loss",
                 floats_of(evaluate::label_loss(schema::Loss::kBce, at("input/logits"), y_mixed)));
  const at::Tensor one_hot =
      at::one_hot(at("input/y_index"), at("input/logits").size(1)).to(at::kFloat);
  report.compare("output/esc50_ce_loss",
                 floats_of(evaluate::label_loss(schema::Loss::kCe, at("input/logits"),
                                                mixed(one_hot, lam.unsqueeze(1)))));
  const at::Tensor mask = at("input/openmic_mask");
  const at::Tensor openmic = at("input/openmic_y");
  report.compare("output/openmic_loss",
                 floats_of(evaluate::label_loss(schema::Loss::kMaskedBce,
                                                at("input/openmic_logits"), openmic, mask)));
  report.compare(
      "output/openmic_loss_mixup",
      floats_of(evaluate::label_loss(schema::Loss::kMaskedBce, at("input/openmic_logits"),
                                     mixed(openmic, lam.unsqueeze(1)), mask)));
  report.elsewhere("output/x_mixed", "core/frontend");
  for (const char* name : {"output/wave_passt", "output/wave_passt_y", "output/ast_fbank_short2",
                           "output/ast_fbank_long2"})
    report.elsewhere(name, "data");
}

TEST(TrainParity, LossesAndSchedules) {
  testing::expect_parity({"train/schedules", "train/losses", "train/kd_loss", "train/mixup",
                          "train/kd_student_temperature"},
                         {{"train/schedules", compare_schedules},
                          {"train/losses", compare_losses},
                          {"train/kd_loss", compare_kd},
                          {"train/kd_student_temperature", compare_student_temperature},
                          {"train/mixup", compare_mixup}});
}

}  // namespace
}  // namespace xp::train
