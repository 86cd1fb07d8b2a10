#include "core/cli/arguments.h"

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
    const std::vector<CLI::App*> chosen = app_->get_subcommands();
    throw Error(fmt::format("{}; see `{} {}--help`", error.what(), app_->get_name(),
                            chosen.empty() ? "" : chosen.front()->get_name() + " "));
  }
  return true;
}

std::string CommandLine::help() const { return app_->help(); }

}  // namespace xp::cli
