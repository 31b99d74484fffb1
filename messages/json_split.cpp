// split_array and split_object: finding the parts of a JSON text without reading what is in them.
#include "messages/content.hpp"
#include "messages/json_scan.hpp"

#include <optional>
#include <utility>

namespace colloquy {
namespace {

constexpr std::string_view blanks = " \t\n\r";

/// A place in a text. Every step either moves on or says that the text is not what it should be.
class cursor {
public:
  explicit cursor(std::string_view text)
    : text_(text) {}

  void skip_blanks() {
    at_ = text_.find_first_not_of(blanks, at_);
    if (at_ == std::string_view::npos)
      at_ = text_.size();
  }
  bool at_end() const { return at_ == text_.size(); }
  /// Takes this character, and the blanks after it.
  bool take(char c) {
    if (at_end() || text_[at_] != c)
      return false;
    ++at_;
    skip_blanks();
    return true;
  }
  /// Takes one value, and the blanks after it. An empty view: there is none.
  std::string_view take_value() {
    const std::size_t begin = at_;
    if (at_end() || !skip_value())
      return {};
    auto value = text_.substr(begin, at_ - begin);
    skip_blanks();
    return value;
  }

private:
  bool skip_value() {
    const char first = text_[at_];
    if (first == '"')
      return skip_string();
    if (first == '{' || first == '[')
      return skip_container();
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_of(",:]} \t\n\r\"[{", at_), text_.size());
    return at_ > begin;
  }

  bool skip_string() {
    for (++at_; at_ < text_.size(); ++at_) {
      at_ = text_.find_first_of("\"\\", at_);
      if (at_ == std::string_view::npos)
        break;
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      ++at_; // what a backslash escapes
    }
    at_ = text_.size();
    return false;
  }

  bool skip_container() {
    std::size_t open = 0;
    while (at_ < text_.size()) {
      at_ = text_.find_first_of("\"{}[]", at_);
      if (at_ == std::string_view::npos)
        break;
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string())
          return false;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[')
        ++open;
      else if (--open == 0)
        return true;
    }
    at_ = text_.size();
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

error not_a(std::string_view what) {
  return {error_code::invalid_request, "not a JSON " + std::string(what)};
}

/// Hears one string.
class string_listener final : public json_listener {
public:
  bool on_key(int, std::string_view) override { return false; }
  bool on_scalar(int, const json_scalar& value) override {
    if (value.kind != json_kind::string)
      return false;
    decoded = value.string;
    return true;
  }
  bool on_open(int, json_kind) override { return false; }
  bool on_close(int) override { return false; }

  std::string decoded;
};

/// The string that a quoted text stands for.
std::optional<std::string> decode_string(std::string_view text) {
  if (text.size() < 2 || text.front() != '"')
    return std::nullopt;
  string_listener listener;
  if (!scan_json(text, 0, &listener))
    return std::nullopt;
  return std::move(listener.decoded);
}

/// Reads `open item, item ... close`; `read_item` takes one item and says whether there was one.
template <class ReadItem>
bool read_items(cursor& at, char open, char close, ReadItem read_item) {
  at.skip_blanks();
  if (!at.take(open))
    return false;
  if (!at.take(close)) {
    do {
      if (!read_item())
        return false;
    } while (at.take(','));
    if (!at.take(close))
      return false;
  }
  return at.at_end();
}

} // namespace

result<std::vector<std::string_view>> split_array(std::string_view json) {
  std::vector<std::string_view> elements;
  cursor at(json);
  auto read_element = [&] {
    elements.push_back(at.take_value());
    return !elements.back().empty();
  };
  if (!read_items(at, '[', ']', read_element))
    return not_a("array");
  return elements;
}

result<std::vector<raw_member>> split_object(std::string_view json) {
  std::vector<raw_member> members;
  cursor at(json);
  auto read_member = [&] {
    auto key = decode_string(at.take_value());
    if (!key || !at.take(':'))
      return false;
    members.push_back({*std::move(key), at.take_value()});
    return !members.back().value.empty();
  };
  if (!read_items(at, '{', '}', read_member))
    return not_a("object");
  return members;
}

} // namespace colloquy
