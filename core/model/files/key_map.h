#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/checkpoint/archive.h"
#include "core/schema/geometry.h"

/// The originals' names of tensors and ours: one table a project, read in both directions.
namespace xp::model {

/// Whose names a checkpoint uses.
enum class Original {
  kExp,          ///< ours (trunk.h)
  kAst,          ///< YuanGongND/ast; fine-tuned SSAST models too
  kSsast,        ///< YuanGongND/ssast, pretrained
  kDeit,         ///< timm DeiT and ViT: images
  kPasst,        ///< kkoutini/PaSST and passt_hear21
  kTorchOnly,    ///< tky823/TorchOnlyAST: AST, SSAST, PaSST
  kHuggingFace,  ///< transformers' ASTForAudioClassification
  kMn,           ///< fschmid56/EfficientAT mn
  kDymn          ///< fschmid56/EfficientAT dymn
};
std::string_view original_name(Original original);

/// How a stored tensor becomes ours. D dim, F' x T' grid, n = F' T'.
enum class Form {
  kSame,
  kToken,     ///< [D] -> [1, 1, D]
  kRows,      ///< [1, 2, D] -> [2, D]
  kGrid,      ///< [D, F', T'] -> [F', T', D]
  kAxis,      ///< [D, n] -> [n, D]
  kFreqAxis,  ///< [1, D, F', 1] -> [F', D]
  kTimeAxis,  ///< [1, D, 1, T'] -> [T', D]
  kSequence,  ///< [1, s + n, D] -> "pos.special" [s, D] and `ours` [n, D]
  kQuery,     ///< rows 0 .. D of `ours`
  kKey,       ///< rows D .. 2 D
  kValue,     ///< rows 2 D .. 3 D
  kDead       ///< in the file, but no forward pass uses it
};

/// `theirs` may hold '#' (a block's index, the same in `ours`) or end in '*' (kDead only).
struct KeyRule {
  std::string_view theirs;
  std::string_view ours;
  Form form = Form::kSame;
};

/// Empty where the names are ours already (kExp, kMn, kDymn).
std::span<const KeyRule> key_rules(Original original);

/// Whose names these are, by one that no other project has; kExp for those of nobody.
Original original_of(const checkpoint::Archive& archive);

/// A checkpoint in our names and forms.
struct Renamed {
  Original original = Original::kExp;
  std::string prefix;    ///< wrapper levels in front of every name, with the last dot
  std::string averaged;  ///< the level of `prefix` that was taken since it is the averaged copy of
                         ///< several ("state_dict_ema"); else ""
  std::map<std::string, at::Tensor>
      tensors;  ///< by our name; "pos.grid" is [n, D] where only n is known
  std::map<std::string, std::string> theirs;  ///< our name -> the name in the file
  std::vector<std::string> dead;              ///< names in the file that nothing uses
  std::vector<std::string>
      unknown;        ///< names under the prefix that no rule knows, without the prefix
  schema::Grid grid;  ///< of pos.grid where the file says; else 0 x 0
};

/// Finds the family from the names and applies its table. Wrapper levels ("model", "state_dict",
/// "net", "module", "_orig_mod", "weights", in any nesting) are taken off; of several copies the
/// averaged one ("net_swa", "state_dict_ema", "model_ema", "ema_state_dict", "ema") is taken.
/// Throws Error (kData) naming `file` when the names are nobody's.
Renamed rename(const checkpoint::Archive& archive, const std::filesystem::path& file);

}  // namespace xp::model
