#include "tracker/bind.h"

#include <string_view>

namespace xp::tracker {

int bind_all(sql::Statement& statement, const Compiled& compiled, int index) {
  for (const Binding& binding : compiled.bindings) {
    ++index;
    switch (binding.type) {
      case Binding::Type::kInteger:
        statement.bind(index, binding.integer);
        break;
      case Binding::Type::kReal:
        statement.bind(index, binding.real);
        break;
      case Binding::Type::kText:
        statement.bind(index, std::string_view(binding.text));
        break;
    }
  }
  return index;
}

}  // namespace xp::tracker
