#include "config/expand.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace colloquy::config {

namespace {

constexpr std::size_t depth_max = 16;
constexpr std::size_t steps_max = 1000;
constexpr std::size_t size_max = 64 * 1024;

error fault(std::string sentence) {
  return {error_code::invalid_request, std::move(sentence)};
}

bool is_variable(std::string_view name) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && !is_digit(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
  });
}

/// One expansion; holds what it has used of its bounds.
class expansion {
public:
  expansion(const std::map<std::string, std::string>& environment, const std::vector<assignment>& env_file)
    : environment_(environment)
    , env_file_(env_file) {}

  result<void> add(const written_value& value) {
    for (const auto& each : value) {
      auto added = each.expands ? add_expanding(each.text) : add_text(each.text);
      if (!added)
        return added;
    }
    return {};
  }

  std::string take() { return std::move(text_); }

private:
  result<void> add_text(std::string_view text) {
    if (text_.size() + text.size() > size_max)
      return fault("expands to more than 64KiB");
    text_ += text;
    return {};
  }

  result<void> add_expanding(std::string_view text) {
    while (true) {
      const auto start = text.find("${");
      if (auto added = add_text(text.substr(0, start)); !added || start == std::string_view::npos)
        return added;
      const auto end = text.find('}', start);
      const auto name = end == std::string_view::npos ? std::string_view() : text.substr(start + 2, end - start - 2);
      // The text is not quoted: what is not a name may be a piece of a password.
      if (!is_variable(name))
        return fault("has a \"${\" that does not begin a reference; allowed is ${NAME}, with NAME of letters, digits "
                     "and _");
      if (auto added = add_variable(std::string(name)); !added)
        return added;
      text.remove_prefix(end + 1);
    }
  }

  result<void> add_variable(const std::string& name) {
    if (std::find(open_.begin(), open_.end(), name) != open_.end())
      return fault("refers to ${" + name + "}, which leads back to itself");
    if (open_.size() == depth_max || ++steps_ > steps_max)
      return fault("has references nested too deep or too many, at ${" + name + "}");
    const auto value = look_up(name);
    if (!value)
      return value.failure();
    open_.push_back(name);
    auto added = add(*value);
    open_.pop_back();
    return added;
  }

  result<written_value> look_up(const std::string& name) const {
    if (const auto found = environment_.find(name); found != environment_.end())
      return written_value{{found->second, true}};
    const auto found =
        std::find_if(env_file_.rbegin(), env_file_.rend(), [&](const assignment& each) { return each.name == name; });
    if (found == env_file_.rend())
      return fault("refers to ${" + name + "}, which is not set in the environment or the .env file");
    if (!found->fault.empty())
      return fault("refers to ${" + name + "}, whose line in the .env file " + found->fault);
    return found->value;
  }

  const std::map<std::string, std::string>& environment_;
  const std::vector<assignment>& env_file_;
  std::string text_;
  std::vector<std::string> open_;
  std::size_t steps_ = 0;
};

} // namespace

result<std::string> expander::expand(const written_value& value) const {
  expansion run(*environment_, *env_file_);
  if (auto added = run.add(value); !added)
    return added.failure();
  return run.take();
}

bool has_reference(const written_value& value) {
  return std::any_of(value.begin(), value.end(),
                     [](const piece& each) { return each.expands && each.text.find("${") != std::string::npos; });
}

} // namespace colloquy::config
