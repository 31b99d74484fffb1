#include "messages/json_scan.hpp"

#include "messages/hex.hpp"
#include "messages/text_checks.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace colloquy {
namespace {

/// Up to here comparing all pairs is cheaper than sorting.
constexpr std::size_t keys_compared_in_pairs_max = 8;

/// The decoded keys of the objects that are open. A repeat is looked for when an object closes, by sorting, so that
/// no choice of keys makes it slow.
class open_keys {
public:
  void open() { frames_.push_back(keys_.size()); }
  void add(std::string_view key) {
    keys_.push_back({bytes_.size(), key.size()});
    bytes_.append(key);
  }
  /// Ends the innermost object, unless it has a key twice: then gives that key.
  std::optional<std::string_view> close() {
    const std::size_t first = frames_.back();
    if (auto repeated = repeat_from(first))
      return repeated;
    frames_.pop_back();
    if (first < keys_.size()) {
      bytes_.resize(keys_[first].begin);
      keys_.resize(first);
    }
    return std::nullopt;
  }

private:
  struct span {
    std::size_t begin;
    std::size_t size;
  };
  std::string_view text(span s) const { return std::string_view(bytes_).substr(s.begin, s.size); }

  std::optional<std::string_view> repeat_from(std::size_t first) {
    if (keys_.size() - first <= keys_compared_in_pairs_max) {
      for (std::size_t i = first; i < keys_.size(); ++i)
        for (std::size_t k = i + 1; k < keys_.size(); ++k)
          if (text(keys_[i]) == text(keys_[k]))
            return text(keys_[i]);
      return std::nullopt;
    }
    std::vector<std::string_view> sorted;
    sorted.reserve(keys_.size() - first);
    for (std::size_t i = first; i < keys_.size(); ++i)
      sorted.push_back(text(keys_[i]));
    std::sort(sorted.begin(), sorted.end());
    auto twin = std::adjacent_find(sorted.begin(), sorted.end());
    if (twin == sorted.end())
      return std::nullopt;
    return *twin;
  }

  std::string bytes_;
  std::vector<span> keys_;
  std::vector<std::size_t> frames_;
};

error invalid(std::string why) {
  return {error_code::invalid_request, std::move(why)};
}

constexpr std::size_t exponent_digits_max = 9;
constexpr const char* exponent_too_long = "the exponent of a number has more than the 9 digits allowed";

bool has_long_exponent(std::string_view number) {
  const auto e = number.find_first_of("eE");
  if (e == std::string_view::npos)
    return false;
  const auto first = number.find_first_not_of("+-0", e + 1);
  return first != std::string_view::npos && number.size() - first > exponent_digits_max;
}

/// What the library's parser calls; the names, types and constants are its own. A call that returns false says why.
class handler {
public:
  using failure_code = boost::json::error_code;
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  handler(int depth_max, json_listener* listener)
    : depth_max_(depth_max)
    , listener_(listener) {}

  bool on_document_begin(failure_code&) { return true; }
  bool on_document_end(failure_code&) { return true; }

  bool on_null(failure_code& ec) { return scalar({json_kind::null, 0, {}, {}}, ec); }
  bool on_bool(bool value, failure_code& ec) { return scalar({json_kind::boolean, value, {}, {}}, ec); }
  bool on_int64(std::int64_t value, boost::json::string_view text, failure_code& ec) {
    return scalar({json_kind::integer, value, {}, text}, ec);
  }
  bool on_uint64(std::uint64_t, boost::json::string_view text, failure_code& ec) {
    return scalar({json_kind::number, 0, {}, text}, ec); // else it would have been the other one
  }
  bool on_double(double value, boost::json::string_view text, failure_code& ec) {
    if (has_long_exponent(text))
      return refuse(exponent_too_long, ec);
    if (std::isinf(value) && std::isinf(std::strtold(std::string(text).c_str(), nullptr)))
      return refuse("the number " + quoted(text) + " is out of range; below 1e4932 is allowed", ec);
    return scalar({json_kind::number, 0, {}, text}, ec);
  }
  bool on_number_part(boost::json::string_view, failure_code&) { return true; } // only of a text that comes in parts

  bool on_string_part(boost::json::string_view part, std::size_t, failure_code&) { return keep(part); }
  bool on_string(boost::json::string_view rest, std::size_t, failure_code& ec) {
    const auto value = whole(rest);
    const bool goes_on = has_no_nul(value, ec) && scalar({json_kind::string, 0, value, {}}, ec);
    parts_.clear();
    return goes_on;
  }
  bool on_key_part(boost::json::string_view part, std::size_t, failure_code&) { return keep(part); }
  bool on_key(boost::json::string_view rest, std::size_t, failure_code& ec) {
    const auto key = whole(rest);
    keys_.add(key);
    const bool goes_on = has_no_nul(key, ec) && (!listener_ || listener_->on_key(depth_, key) || stop(ec));
    parts_.clear();
    return goes_on;
  }

  bool on_object_begin(failure_code& ec) {
    keys_.open();
    return open(json_kind::object, ec);
  }
  bool on_object_end(std::size_t, failure_code& ec) {
    if (auto key = keys_.close())
      return refuse("the key " + quoted(*key) + " is twice in one object; once is allowed", ec);
    return close(ec);
  }
  bool on_array_begin(failure_code& ec) { return open(json_kind::array, ec); }
  bool on_array_end(std::size_t, failure_code& ec) { return close(ec); }

  bool on_comment_part(boost::json::string_view, failure_code&) { return true; } // comments are not allowed
  bool on_comment(boost::json::string_view, failure_code&) { return true; }

  std::optional<error> failure{};

private:
  static bool stop(failure_code& ec) {
    ec = boost::json::make_error_code(boost::json::error::exception); // any: who asks looks at `failure` first
    return false;
  }
  bool refuse(std::string why, failure_code& ec) {
    failure = invalid(std::move(why));
    return stop(ec);
  }
  bool scalar(const json_scalar& value, failure_code& ec) {
    return !listener_ || listener_->on_scalar(depth_, value) || stop(ec);
  }
  bool open(json_kind kind, failure_code& ec) {
    if (depth_ == depth_max_)
      return refuse("objects and arrays nest deeper than the " + std::to_string(depth_max_) + " levels allowed", ec);
    const int around = depth_++;
    return !listener_ || listener_->on_open(around, kind) || stop(ec);
  }
  bool close(failure_code& ec) {
    --depth_;
    return !listener_ || listener_->on_close(depth_) || stop(ec);
  }
  bool has_no_nul(std::string_view text, failure_code& ec) {
    return text.find('\0') == std::string_view::npos || refuse("a string holds \\u0000, which cannot be stored", ec);
  }
  // A string without escapes is one piece of the text; any other comes in parts.
  bool keep(std::string_view part) {
    parts_.append(part);
    return true;
  }
  std::string_view whole(std::string_view rest) {
    if (parts_.empty())
      return rest;
    parts_.append(rest);
    return parts_;
  }

  int depth_max_;
  json_listener* listener_;
  int depth_ = 0;
  open_keys keys_;
  std::string parts_;
};

/// Whether the escape of a leading surrogate ends there.
bool ends_lonely(std::string_view before) {
  constexpr std::size_t escape_chars = 6; // \uD800
  if (before.size() < escape_chars)
    return false;
  const auto escape = before.substr(before.size() - escape_chars);
  const int high = hex::value(escape[2]) * 16 + hex::value(escape[3]);
  return escape.starts_with("\\u") && high >= 0xd8 && high <= 0xdb;
}

/// The library knows one word for most of what is wrong in a string.
std::string why_not(std::string_view text, std::size_t at, const boost::json::error_code& why) {
  using boost::json::error;
  const auto before = text.substr(0, at);
  if (why == error::illegal_leading_surrogate || why == error::illegal_trailing_surrogate || ends_lonely(before) ||
      (before.ends_with('\\') && ends_lonely(before.substr(0, at - 1))))
    return "a surrogate without its other half";
  if (why == error::exponent_overflow)
    return exponent_too_long;
  const auto byte = static_cast<unsigned char>(text[at]);
  if (why == error::syntax && byte >= 0x80)
    return "not valid UTF-8, or not in a string";
  if (why == error::syntax && byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t')
    return "a control character, which is written as an escape";
  return why.message();
}

error not_json(std::string_view text, std::size_t at, const boost::json::error_code& why) {
  const auto place = "not valid JSON at byte " + std::to_string(at) + ": ";
  if (why == boost::json::error::incomplete || at >= text.size())
    return invalid(place + "the text ends before the value does");
  constexpr std::size_t bytes_shown = 16;
  return invalid(place + why_not(text, at, why) + " at " + quoted(text.substr(at, bytes_shown)));
}

} // namespace

result<void> scan_json(std::string_view text, int depth_max, json_listener* listener) {
  if (text.find('\0') != std::string_view::npos)
    return invalid("the text holds a NUL byte, which is not JSON");
  if (text.starts_with("\xEF\xBB\xBF"))
    return invalid("the text begins with a byte order mark, which is not JSON");
  boost::json::parse_options options;
  options.max_depth = static_cast<std::size_t>(depth_max) + 1; // the handler says it better
  boost::json::basic_parser<handler> parser(options, depth_max, listener);
  boost::json::error_code why;
  const auto read = parser.write_some(false, text.data(), text.size(), why);
  if (auto& failure = parser.handler().failure)
    return *std::move(failure);
  if (listener && listener->failure)
    return *std::move(listener->failure);
  if (!why && read < text.size())
    why = boost::json::make_error_code(boost::json::error::extra_data);
  if (why)
    return not_json(text, read, why);
  return {};
}

std::string quoted(std::string_view text) {
  constexpr std::size_t bytes_max = 64;
  std::size_t size = std::min(text.size(), bytes_max);
  // Not in the middle of a character.
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
    --size;
  const auto shown = text.substr(0, size);
  const bool is_text = is_storable_text(shown); // else, as a header's bytes may be, only ASCII is shown of it
  std::string out = "'";
  for (char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(byte < 0x20 || byte == 0x7f || (byte > 0x7f && !is_text) ? '?' : c);
  }
  out += size < text.size() ? "...'" : "'";
  return out;
}

} // namespace colloquy
