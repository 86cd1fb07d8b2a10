#include "core/base/error.h"
#include "core/model/registry.h"

namespace xp::model {

std::unique_ptr<Model> make_mn(const ModelSpec& spec) {
  throw Error("'" + spec.options.arch + "': this build has no CNNs", Exit::kFailed);
}

std::unique_ptr<Model> make_dymn(const ModelSpec& spec) { return make_mn(spec); }

}  // namespace xp::model
