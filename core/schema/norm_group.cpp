#include "core/schema/norm_group.h"

#include <fmt/format.h>

namespace xp::schema {

int64_t norm_group(const TrainOptions& train, Family family) {
  if (!is_cnn(family)) return 0;
  return train.norm_batch > 0 ? train.norm_batch : train.batch_size;
}

std::string split_group_text(int64_t micro_batch, int64_t group) {
  return fmt::format(
      "micro_batch = {} (train or runtime) would split the {} clips that share statistics of batch "
      "norm: set it to 0 or to at least {}, or train.norm_batch to at most {}",
      micro_batch, group, group, micro_batch);
}

}  // namespace xp::schema
