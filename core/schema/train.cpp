#include "core/schema/train.h"

#include <algorithm>

namespace xp::schema {
namespace {

/// What validation computes for every epoch: of labels, and of masked patches.
constexpr std::array<std::string_view, 7> kValMetrics = {"loss",    "mAP", "mAP_all", "auc",
                                                         "d_prime", "acc", "loss_mse"};

}  // namespace

std::optional<MetricGoal> parse_goal(std::string_view text) {
  const bool maximise = text.substr(0, 4) == "max:";
  if (!maximise && text.substr(0, 4) != "min:") return std::nullopt;
  text.remove_prefix(4);
  if (text.substr(0, 4) != "val.") return std::nullopt;
  text.remove_prefix(4);
  if (std::find(kValMetrics.begin(), kValMetrics.end(), text) == kValMetrics.end())
    return std::nullopt;
  return MetricGoal{maximise, std::string(text)};
}

bool accepts_goal(std::string_view text) { return parse_goal(text).has_value(); }

bool accepts_select(std::string_view text) { return text == "last" || accepts_goal(text); }

}  // namespace xp::schema
