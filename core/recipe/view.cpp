#include "core/recipe/view.h"

namespace xp::recipe {
namespace detail {
namespace {

template <class T>
const T& checked(const Value& value, const char* what) {
  const T* got = value.get<T>();
  XP_CHECK(got != nullptr, std::string("a value that is not ") + what + " passed the recipe check");
  return *got;
}

}  // namespace

void assign(bool& out, const Value& value) { out = checked<bool>(value, "a bool"); }

void assign(int64_t& out, const Value& value) { out = checked<int64_t>(value, "an integer"); }

void assign(double& out, const Value& value) {
  const int64_t* whole = value.get<int64_t>();
  out = whole != nullptr ? static_cast<double>(*whole) : checked<double>(value, "a number");
}

void assign(std::string& out, const Value& value) { out = checked<std::string>(value, "a string"); }

void assign(Inputs& out, const Value& value) {
  out.list.clear();
  if (const Array* array = value.get<Array>()) {
    for (const Value& item : *array) out.list.push_back(checked<std::string>(item, "a string"));
  } else if (const std::string& text = checked<std::string>(value, "a string"); !text.empty()) {
    out.list.push_back(text);
  }
}

void assign(IntOrList& out, const Value& value) {
  out = {};
  if (const Array* array = value.get<Array>()) {
    out.is_list = true;
    for (const Value& item : *array) out.list.push_back(checked<int64_t>(item, "an integer"));
  } else {
    out.value = checked<int64_t>(value, "an integer");
  }
}

}  // namespace detail

const Value* View::find(std::string_view section, std::string_view key) const {
  const auto found = sections.find(section);
  if (found == sections.end()) return nullptr;
  const auto value = found->second.find(key);
  return value == found->second.end() ? nullptr : &value->second;
}

std::string View::key_text(std::string_view key) const {
  const auto found = keys.find(key);
  if (found == keys.end()) return "";
  std::string out;
  detail::assign(out, found->second);
  return out;
}

Inputs View::key_inputs(std::string_view key) const {
  Inputs out;
  const auto found = keys.find(key);
  if (found != keys.end()) detail::assign(out, found->second);
  return out;
}

}  // namespace xp::recipe
