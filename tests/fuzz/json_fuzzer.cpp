// JSON as messages/ reads it, beside nlohmann's own opinion of the same text.
#include "fuzz_input.hpp"

#include "gateway/json_writer.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"
#include "messages/text_checks.hpp"

#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

namespace colloquy::fuzz {
namespace {

using nlohmann::json;

constexpr std::size_t bytes_max = 1 << 16;

/// What the library finds, and what our further rules are about.
class judge final : public nlohmann::json_sax<json> {
public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t& spelled) override {
    has_long_exponent = has_long_exponent || exponent_digits(spelled) > exponent_digits_max;
    return true;
  }
  bool string(string_t& text) override {
    breaks_rule = breaks_rule || text.find('\0') != std::string::npos;
    return true;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return open();
  }
  bool key(string_t& name) override {
    breaks_rule = breaks_rule || !keys_.back().insert(name).second || name.find('\0') != std::string::npos;
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& why) override {
    // 406: a number that its double cannot hold. That is JSON, and ours holds some more.
    is_only_large = why.id == 406;
    return false;
  }

  bool breaks_rule = false;
  bool is_only_large = false;
  bool has_long_exponent = false; // grammar has no bound, ours has

private:
  static constexpr std::size_t exponent_digits_max = 9;

  static std::size_t exponent_digits(std::string_view spelled) {
    const auto e = spelled.find_first_of("eE");
    if (e == std::string_view::npos)
      return 0;
    const auto first = spelled.find_first_not_of("+-0", e + 1);
    return first == std::string_view::npos ? 0 : spelled.size() - first;
  }

  bool open() {
    breaks_rule = breaks_rule || ++depth_ > limits::json_depth_max;
    return true;
  }

  std::vector<std::set<std::string>> keys_;
  int depth_ = 0;
};

void compare(std::string_view text) {
  judge theirs;
  const bool is_bare = text.find('\0') == std::string_view::npos && !text.starts_with("\xEF\xBB\xBF");
  const bool is_json = json::sax_parse(text.begin(), text.end(), &theirs);
  const auto ours = check_json(text);
  if (theirs.is_only_large)
    return;
  if (theirs.has_long_exponent) {
    hold(!ours.has_value(), "an exponent of ten digits is refused", text);
    return;
  }
  hold(ours.has_value() == (is_json && is_bare && !theirs.breaks_rule), "both judges agree", text);
  if (ours)
    hold(is_storable_text(text), "what is taken can be stored", text);
  else
    hold(!ours.failure().message.empty() && is_storable_text(text) <= is_storable_text(ours.failure().message),
         "a refusal says why, in clean text", text);
}

bool is_inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void check_splits(std::string_view text) {
  const bool is_json = check_json(text).has_value();
  const auto theirs = json::parse(text, nullptr, false); // discarded: no JSON, or numbers that only ours can hold
  const bool is_theirs = is_json && !theirs.is_discarded();
  if (const auto elements = split_array(text)) {
    for (const auto each : *elements) {
      hold(is_inside(each, text) && !each.empty(), "elements are pieces of the text", text);
      hold(!is_json || check_json(each), "elements of JSON are JSON", text);
    }
    hold(!is_theirs || theirs.size() == elements->size(), "as many elements as there are", text);
  }
  if (const auto members = split_object(text)) {
    for (const auto& [key, value] : *members) {
      hold(is_inside(value, text) && !value.empty(), "values are pieces of the text", text);
      hold(is_storable_text(key), "keys can be stored", text);
      hold(!is_json || check_json(value), "members of JSON are JSON", text);
      hold(!is_theirs || theirs.contains(key), "keys are what they say", text);
    }
    hold(!is_theirs || theirs.size() == members->size(), "as many members as there are", text);
  }
}

void check_message(std::string_view text) {
  const auto message = parse_message(text);
  if (!message) {
    hold(!message.failure().message.empty(), "a message refused says why", text);
    return;
  }
  hold(check_json(text).has_value(), "a message taken is JSON", text);
  hold(message->data == text, "a message is kept as it came", text);
  hold(message->role != message_role::none, "a message has a role", text);
  hold(!message->tokens || *message->tokens >= 0, "tokens are counted from 0", text);
  hold(count_characters(message->tool_call_id) <= limits::name_chars_max, "ids are bounded", text);
  const auto again = json::parse(text, nullptr, false);
  if (again.is_discarded())
    return; // a number that only ours can hold
  hold(again.at("role") == to_string(message->role), "the role is what it says", text);
  if (again.contains("tool_call_id"))
    hold(again["tool_call_id"] == message->tool_call_id, "the id is what it says", text);
}

void check_writer(std::string_view text) {
  std::string out;
  gateway::append_quoted(out, text);
  const bool is_storable = is_storable_text(text);
  hold(!is_storable || check_json(out), "what is written is JSON", out);
  if (is_storable)
    hold(json::parse(out) == std::string(text), "what is written reads back the same", out);
}

} // namespace
} // namespace colloquy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace colloquy::fuzz;
  if (size > bytes_max)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  compare(text);
  check_splits(text);
  check_message(text);
  check_writer(text);
  return 0;
}
