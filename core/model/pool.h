#pragma once

#include "core/model/layers.h"
#include "core/model/model.h"

namespace xp::model {

/// Mean and deviation of every mel bin, then one linear layer. Tensors: head.weight [K, 2 F],
/// head.bias [K].
class Pool : public Model {
 public:
  Pool(Geometry input, int64_t classes, const Init& init);

  Output forward(const Input& input, const Pass& pass) const override;
  int64_t embedding_size() const override { return 2 * bins_; }
  int64_t classes() const override { return classes_; }
  Placement placement(std::string_view parameter) const override;
  int64_t layers() const override { return 1; }

 protected:
  void members(Members& list) override;

 private:
  int64_t bins_, classes_;
  Linear linear_;
};

}  // namespace xp::model
