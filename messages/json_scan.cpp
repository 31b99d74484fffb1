#include "messages/json_scan.hpp"

#include "messages/text_checks.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <map>

namespace colloquy {
namespace {

// The library converts every number. As long double, what overflows a double (1e400 is valid JSON) still passes.
using json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, long double>;

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

/// The library's sentence without its prefix and without the text that it read, which may be megabytes.
std::string reason_of(std::string_view what) {
  constexpr std::size_t reason_bytes_max = 200;
  if (auto dash = what.find("- "); dash != std::string_view::npos)
    what.remove_prefix(dash + 2);
  else if (auto bracket = what.find("] "); bracket != std::string_view::npos)
    what.remove_prefix(bracket + 2);
  what = what.substr(0, what.find("; last read: "));
  return std::string(what.substr(0, reason_bytes_max));
}

/// What the library's parser calls; the names and types are its own.
class sax {
public:
  sax(int depth_max, json_listener* listener)
    : depth_max_(depth_max)
    , listener_(listener) {}

  bool null() { return scalar({json_kind::null, 0, {}}); }
  bool boolean(bool) { return scalar({json_kind::boolean, 0, {}}); }
  bool number_integer(std::int64_t value) { return scalar({json_kind::integer, value, {}}); }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return scalar({json_kind::number, 0, {}});
    return scalar({json_kind::integer, static_cast<std::int64_t>(value), {}});
  }
  bool number_float(long double, const std::string&) { return scalar({json_kind::number, 0, {}}); }
  bool string(std::string& value) { return has_no_nul(value) && scalar({json_kind::string, 0, value}); }
  bool binary(json::binary_t&) { return false; } // never called for text
  bool key(std::string& key) {
    keys_.add(key);
    return has_no_nul(key) && (!listener_ || listener_->on_key(depth_, key));
  }

  bool start_object(std::size_t) {
    keys_.open();
    return open(json_kind::object);
  }
  bool end_object() {
    if (auto key = keys_.close()) {
      failure = invalid("the key " + quoted(*key) + " is twice in one object; once is allowed");
      return false;
    }
    return close();
  }
  bool start_array(std::size_t) { return open(json_kind::array); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& why) {
    failure = invalid("not valid JSON at byte " + std::to_string(at) + ": " + reason_of(why.what()));
    return false;
  }

  std::optional<error> failure;

private:
  bool scalar(const json_scalar& value) { return !listener_ || listener_->on_scalar(depth_, value); }
  bool open(json_kind kind) {
    if (depth_ == depth_max_) {
      failure = invalid("objects and arrays nest deeper than the " + std::to_string(depth_max_) + " levels allowed");
      return false;
    }
    const int around = depth_++;
    return !listener_ || listener_->on_open(around, kind);
  }
  bool close() {
    --depth_;
    return !listener_ || listener_->on_close(depth_);
  }
  bool has_no_nul(std::string_view text) {
    if (text.find('\0') == std::string_view::npos)
      return true;
    failure = invalid("a string holds \\u0000, which cannot be stored");
    return false;
  }

  int depth_max_;
  json_listener* listener_;
  int depth_ = 0;
  open_keys keys_;
};

} // namespace

result<void> scan_json(std::string_view text, int depth_max, json_listener* listener) {
  // The library takes a NUL outside of strings for the end, and skips a byte order mark.
  if (text.find('\0') != std::string_view::npos)
    return invalid("the text holds a NUL byte, which is not JSON");
  if (text.starts_with("\xEF\xBB\xBF"))
    return invalid("the text begins with a byte order mark, which is not JSON");
  sax handler(depth_max, listener);
  if (json::sax_parse(text.data(), text.data() + text.size(), &handler))
    return {};
  if (handler.failure)
    return *std::move(handler.failure);
  if (listener && listener->failure)
    return *std::move(listener->failure);
  return invalid("not valid JSON");
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
