#include "core/schema/check.h"

namespace xp::schema {

void check_recipe(const recipe::Recipe& recipe, recipe::FaultSink& faults) {
  (void)recipe;
  (void)faults;
}

}  // namespace xp::schema
