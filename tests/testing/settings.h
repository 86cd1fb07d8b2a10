#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace xp::testing {

/// A JSON object that remembers which of its keys were asked for, so that an option of a case which
/// its driver does not know is found. Copies share what they remember.
class Settings {
 public:
  Settings() = default;
  Settings(nlohmann::json object)  // NOLINT(google-explicit-constructor): a case.json is one
      : object_(std::move(object)) {}

  /// Throws nlohmann::json::out_of_range when the key is absent.
  const nlohmann::json& at(const std::string& key) const {
    asked_->insert(key);
    return object_.at(key);
  }
  bool contains(const std::string& key) const {
    asked_->insert(key);
    return object_.contains(key);
  }
  /// Whether the key is there and not null, which in the originals is "left as it is".
  bool is_set(const std::string& key) const { return contains(key) && !object_.at(key).is_null(); }
  /// `otherwise` where the key is not set.
  template <class T>
  T value(const std::string& key, T otherwise) const {
    return is_set(key) ? object_.at(key).get<T>() : otherwise;
  }
  std::string value(const std::string& key, const char* otherwise) const {
    return value(key, std::string(otherwise));
  }

  /// These options change nothing of what the driver compares.
  void without_effect(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) asked_->insert(key);
  }
  /// The keys that nobody asked for.
  std::vector<std::string> unread() const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object_.items())
      if (asked_->count(key) == 0) keys.push_back(key);
    return keys;
  }

 private:
  nlohmann::json object_ = nlohmann::json::object();
  std::shared_ptr<std::set<std::string>> asked_ = std::make_shared<std::set<std::string>>();
};

}  // namespace xp::testing
