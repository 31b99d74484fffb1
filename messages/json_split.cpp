// split_array and split_object: finding the parts of a JSON text without reading what is in them.
#include "messages/content.hpp"
#include "messages/json_scan.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace colloquy {
namespace {

/// A set of ASCII characters that is asked by a table: a text is gone through one character after the other, and a
/// search among several for each of them takes ten times as long.
class character_set {
public:
  constexpr explicit character_set(std::string_view members) {
    for (const char c : members)
      has_[static_cast<unsigned char>(c)] = true;
  }
  /// The first place from `at` on where a member is, or the text's end.
  std::size_t find(std::string_view text, std::size_t at) const noexcept {
    while (at < text.size() && !has_[static_cast<unsigned char>(text[at])])
      ++at;
    return at;
  }
  std::size_t find_other(std::string_view text, std::size_t at) const noexcept {
    while (at < text.size() && has_[static_cast<unsigned char>(text[at])])
      ++at;
    return at;
  }

private:
  std::array<bool, 256> has_{};
};

constexpr character_set blanks(" \t\n\r");
constexpr character_set ends_string("\"\\");
constexpr character_set ends_scalar(",:]} \t\n\r\"[{");
constexpr character_set brackets("\"{}[]");

/// A place in a text. Every step either moves on or says that the text is not what it should be.
class cursor {
public:
  explicit cursor(std::string_view text)
    : text_(text) {}

  void skip_blanks() { at_ = blanks.find_other(text_, at_); }
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
    at_ = ends_scalar.find(text_, at_);
    return at_ > begin;
  }

  bool skip_string() {
    for (at_ = ends_string.find(text_, at_ + 1); at_ < text_.size(); at_ = ends_string.find(text_, at_ + 2))
      if (text_[at_] == '"') {
        ++at_;
        return true;
      } // else it is a backslash, and what it escapes is passed over
    at_ = text_.size();
    return false;
  }

  bool skip_container() {
    std::size_t open = 0;
    while (at_ < text_.size()) {
      at_ = brackets.find(text_, at_);
      if (at_ == text_.size())
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

/// Whether a string stands for itself: no escape, no control character, nothing that has to be looked at twice.
bool is_plain(std::string_view inside) {
  return std::all_of(inside.begin(), inside.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f && c != '\\' && c != '"'; });
}

/// The string that a quoted text stands for.
std::optional<std::string> decode_string(std::string_view text) {
  if (text.size() < 2 || text.front() != '"')
    return std::nullopt;
  const auto inside = text.substr(1, text.size() - 2);
  if (is_plain(inside))
    return std::string(inside);
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
