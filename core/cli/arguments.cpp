#include "core/cli/arguments.h"

#include <algorithm>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::cli {

namespace {

/// An option takes one value each time it is there, and leaves the words after it to others: in
/// `--set tome.r=4 recipe.toml` the second is the recipe. What is known by its position takes all.
template <class T>
CLI::Option* add_list(CLI::App& app, const std::string& names, std::vector<T>& target,
                      const std::string& help) {
  CLI::Option* option = app.add_option(names, target, help);
  return names.starts_with("-") ? option->allow_extra_args(false) : option;
}

/// CLI11's own checks of a sign tell the range of all doubles, digit by digit.
CLI::Validator number_that(const char* name, const char* is, bool (*holds)(double)) {
  return {[is, holds](const std::string& text) {
            double value = 0;
            const bool number = CLI::detail::lexical_cast(text, value);
            return number && holds(value)
                       ? std::string()
                       : fmt::format("expected a number {}, received '{}'", is, text);
          },
          name};
}

const CLI::App& last_chosen(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? app : last_chosen(*chosen.front());
}

/// "train.epochs=3": lower-case names between dots, then a value.
bool sets_a_key(const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || word.find('.') > equals || word.front() == '.') return false;
  return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

/// Why a word is one too many, and what was meant.
std::string why_not_expected(const CLI::App& app, const std::string& word) {
  std::error_code none;
  if (word.starts_with("-")) {
    if (std::filesystem::exists(word, none))
      return fmt::format("{} was taken for an option; of a file write ./{}, or -- before it", word,
                         word);
    std::vector<std::string> names;
    for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
      for (const CLI::Option* option : at->get_options()) {
        if (option->get_group().empty()) continue;  // hidden
        for (const std::string& name : option->get_lnames()) names.push_back(name);
      }
    }
    const std::size_t begin = word.find_first_not_of('-');
    const std::string near = begin == std::string::npos
                                 ? ""
                                 : nearest(word.substr(begin, word.find('=') - begin), names);
    return fmt::format("there is no option {}{}", word,
                       did_you_mean(near.empty() ? near : "--" + near));
  }
  if (app.get_option_no_throw("--set") != nullptr && !std::filesystem::exists(word, none) &&
      sets_a_key(word))
    return fmt::format("{}: a key of the recipe is set by --set {}", word, word);
  return fmt::format("'{}' is one word too many", word);
}

}  // namespace

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::range(int least, int most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option& Option::positive() {
  option_->check(number_that("POSITIVE", "above 0", [](double value) { return value > 0; }));
  return *this;
}

Option& Option::not_negative() {
  option_->check(
      number_that("NONNEGATIVE", "of at least 0", [](double value) { return value >= 0; }));
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

Option& Option::existing_file() {
  option_->check(CLI::ExistingFile);
  return *this;
}

Option& Option::expected(int values) {
  option_->expected(values);
  return *this;
}

Option& Option::comma_separated() {
  option_->delimiter(',');
  return *this;
}

Option& Option::take_all() {
  option_->take_all();
  return *this;
}

Option& Option::excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

Option& Option::show_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::hidden() {
  option_->group("");  // help lists options by group, and leaves out those of a nameless one
  return *this;
}

Option Arguments::option(const std::string& names, std::string& target, const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, std::filesystem::path& target,
                         const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, int& target, const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, int64_t& target, const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, size_t& target, const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, double& target, const std::string& help) {
  return Option(app_.add_option(names, target, help));
}

Option Arguments::option(const std::string& names, std::vector<std::string>& target,
                         const std::string& help) {
  return Option(add_list(app_, names, target, help));
}

Option Arguments::option(const std::string& names, std::vector<int64_t>& target,
                         const std::string& help) {
  return Option(add_list(app_, names, target, help));
}

Option Arguments::flag(const std::string& names, bool& target, const std::string& help) {
  return Option(app_.add_flag(names, target, help));
}

Option Arguments::flag(const std::string& names, int& count, const std::string& help) {
  return Option(app_.add_flag(names, count, help));
}

void Arguments::footer(const std::string& text) { app_.footer(text); }

Arguments Arguments::subcommand(const std::string& name, const std::string& help,
                                std::string& chosen) {
  CLI::App* app = app_.add_subcommand(name, help);
  app->callback([&chosen, name] { chosen = name; });
  return Arguments(*app);
}

void Arguments::require_subcommand() { app_.require_subcommand(1); }

CommandLine::CommandLine(const std::string& program, const std::string& description,
                         const std::string& version)
    : app_(std::make_unique<CLI::App>(description, program)) {
  app_->set_version_flag("--version", version);
  app_->fallthrough();
  app_->require_subcommand(0, 1);
}

CommandLine::~CommandLine() = default;

Arguments CommandLine::arguments() { return Arguments(*app_); }

bool CommandLine::parse(const std::vector<std::string>& words) {
  try {
    app_->parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::Success& success) {
    app_->exit(success);  // prints what --help or --version asked for
    return false;
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      const std::vector<std::string> extra = app_->remaining(/*recurse=*/true);
      if (!extra.empty()) what = why_not_expected(last_chosen(*app_), extra.front());
    }
    const std::vector<CLI::App*> chosen = app_->get_subcommands();
    throw Error(fmt::format("{}; see `{} {}--help`", what, app_->get_name(),
                            chosen.empty() ? "" : chosen.front()->get_name() + " "));
  }
  return true;
}

std::string CommandLine::help() const { return app_->help(); }

}  // namespace xp::cli
