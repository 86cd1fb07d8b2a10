// The sweep-spec parser on any bytes: the first chooses the key. Values that it gives may stand in
// the key.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/error.h"
#include "core/recipe/sweep_spec.h"
#include "core/schema/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr const char* kKeys[] = {
      "tome.r",     "kd.lambda",       "train.epochs", "optimiser.kind", "kd.enabled",
      "model.arch", "experiment.seed", "optimiser.lr", "dataset.train",  "eval.metrics"};
  const xp::recipe::FieldSpec& field =
      *xp::schema::language().find_key(kKeys[data[0] % std::size(kKeys)]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const xp::recipe::SweepSpec spec = xp::recipe::parse_sweep_spec(text, field);
    if (spec.values.size() > xp::recipe::kMaxSweepValues) std::abort();
    for (const xp::recipe::Value& value : spec.values) {
      if (field.fault(value, true)) std::abort();
    }
  } catch (const xp::Error&) {
  }
  return 0;
}
