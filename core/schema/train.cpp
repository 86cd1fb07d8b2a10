#include "core/schema/train.h"

#include <algorithm>

#include "core/metric/metrics.h"

namespace xp::schema {

std::vector<std::string_view> validation_metrics(std::string_view kind) {
  uint32_t wanted = 0;
  if (kind == "train") wanted = metric::Of::kValidation;
  if (kind == "pretrain") wanted = metric::Of::kMasked;
  std::vector<std::string_view> out;
  for (const metric::Metric& line : metric::table())
    if ((line.of & wanted) != 0 && line.better != metric::Better::kUnknown)
      out.push_back(line.name);
  return out;
}

std::optional<MetricGoal> parse_goal(std::string_view text) {
  const bool maximise = text.substr(0, 4) == "max:";
  if (!maximise && text.substr(0, 4) != "min:") return std::nullopt;
  text.remove_prefix(4);
  if (text.substr(0, 4) != "val.") return std::nullopt;
  text.remove_prefix(4);
  for (const std::string_view kind : {"train", "pretrain"}) {
    const auto known = validation_metrics(kind);
    if (std::find(known.begin(), known.end(), text) != known.end())
      return MetricGoal{maximise, std::string(text)};
  }
  return std::nullopt;
}

bool accepts_goal(std::string_view text) { return parse_goal(text).has_value(); }

bool accepts_select(std::string_view text) { return text == "last" || accepts_goal(text); }

}  // namespace xp::schema
