#include "messages/strip_sections.hpp"

#include "messages/content.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <utility>

namespace colloquy {
namespace {

constexpr std::size_t to_the_end = std::numeric_limits<std::size_t>::max();

bool is_string(std::string_view json) {
  return json.size() >= 2 && json.front() == '"' && json.back() == '"';
}

void append_utf8(std::string& text, std::uint32_t code) {
  auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

/// Walks through what is between the quotes of a JSON string, and knows where it is in it and in the text that it
/// stands for. A pair of surrogates is one step, so that no place between two steps is inside of a character.
class literal_walk {
public:
  explicit literal_walk(std::string_view literal)
    : literal_(literal) {}

  std::size_t at() const noexcept { return at_; }

  /// Up to that place of the text, which must not be inside of a character. The text passed is appended to `text`
  /// unless that is null. False if the literal is not valid.
  bool walk_to(std::size_t place, std::string* text) {
    while (place_ < place && at_ < literal_.size())
      if (literal_[at_] != '\\')
        take_plain(place, text);
      else if (!take_escape(text))
        return false;
    return true;
  }

private:
  void take_plain(std::size_t place, std::string* text) {
    const auto size = std::min(std::min(literal_.find('\\', at_), literal_.size()) - at_, place - place_);
    if (text)
      text->append(literal_, at_, size);
    at_ += size;
    place_ += size;
  }

  bool take_escape(std::string* text) {
    if (at_ + 2 > literal_.size())
      return false;
    const char kind = literal_[at_ + 1];
    std::string character;
    if (kind == 'u') {
      if (!read_unicode(character))
        return false;
    } else {
      constexpr std::string_view letters = "\"\\/bfnrt";
      constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      const auto found = letters.find(kind);
      if (found == std::string_view::npos)
        return false;
      character = meanings[found];
      at_ += 2;
    }
    place_ += character.size();
    if (text)
      *text += character;
    return true;
  }

  bool read_unicode(std::string& character) {
    auto code = read_unit();
    if (!code)
      return false;
    if (*code >= 0xd800 && *code < 0xdc00) {
      const auto low = read_unit();
      if (!low || *low < 0xdc00 || *low > 0xdfff)
        return false;
      code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    }
    append_utf8(character, *code);
    return true;
  }

  /// \uXXXX
  std::optional<std::uint32_t> read_unit() {
    const auto unit = literal_.substr(at_, 6);
    if (unit.size() < 6 || !unit.starts_with("\\u"))
      return std::nullopt;
    std::uint32_t code = 0;
    const auto [end, problem] = std::from_chars(unit.data() + 2, unit.data() + 6, code, 16);
    if (problem != std::errc{} || end != unit.data() + 6)
      return std::nullopt;
    at_ += 6;
    return code;
  }

  std::string_view literal_;
  std::size_t at_ = 0;    // in the literal
  std::size_t place_ = 0; // in the text
};

/// The text of a JSON string; none if it is none.
std::optional<std::string> text_of(std::string_view json) {
  std::string text;
  if (!is_string(json) || !literal_walk(json.substr(1, json.size() - 2)).walk_to(to_the_end, &text))
    return std::nullopt;
  return text;
}

std::string_view find_member(const std::vector<raw_member>& members, std::string_view key) {
  auto found = std::find_if(members.begin(), members.end(), [&](const raw_member& each) { return each.key == key; });
  return found == members.end() ? std::string_view{} : found->value;
}

bool is_users(const event& message) {
  return message.kind == event_kind::message && message.role == message_role::user;
}

result<void> check_marker(std::string_view which, std::string_view marker) {
  const bool is_good =
      !marker.empty() && marker.size() <= section_stripper::marker_bytes_max && is_storable_text(marker);
  if (is_good)
    return {};
  return error{error_code::invalid_request,
               std::string(which) + " marker: " + std::to_string(marker.size()) + " bytes; allowed are 1 to " +
                   std::to_string(section_stripper::marker_bytes_max) + " bytes of valid UTF-8 without NUL"};
}

} // namespace

event_offset newest_user_messages_from(std::span<const event> messages, std::size_t count) {
  if (count == 0)
    return std::numeric_limits<event_offset>::max();
  std::vector<event_offset> offsets;
  for (const auto& message : messages)
    if (is_users(message))
      offsets.push_back(message.offset);
  if (offsets.size() <= count)
    return 0;
  const auto nth = offsets.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(offsets.begin(), nth, offsets.end(), std::greater<>());
  return *nth;
}

section_stripper::section_stripper(strip_rule rule)
  : rule_(std::move(rule))
  , least_bytes_(std::max(rule_.start.size() + rule_.end.size(), rule_.bytes_min)) {}

result<section_stripper> section_stripper::make(strip_rule rule) {
  if (auto checked = check_marker("start", rule.start); !checked)
    return std::move(checked.failure());
  if (auto checked = check_marker("end", rule.end); !checked)
    return std::move(checked.failure());
  return section_stripper(std::move(rule));
}

/// Outermost closed sections that are large enough.
section_stripper::ranges section_stripper::find_sections(std::string_view text) const {
  ranges closed;
  std::vector<std::size_t> open;
  std::size_t start = text.find(rule_.start);
  std::size_t end = text.find(rule_.end);
  std::size_t at = 0;
  auto search_from = [&](std::size_t& next, const std::string& marker) {
    if (next < at)
      next = text.find(marker, at);
  };
  const bool end_wins = rule_.end.size() >= rule_.start.size();
  for (;;) {
    if (!open.empty() && end != std::string_view::npos && (end < start || (end == start && end_wins))) {
      at = end + rule_.end.size();
      // Those closed before lie inside of this one if they begin behind its start.
      while (!closed.empty() && closed.back().begin > open.back())
        closed.pop_back();
      closed.push_back({open.back(), at});
      open.pop_back();
    } else if (start != std::string_view::npos) {
      at = start + rule_.start.size();
      open.push_back(start);
    } else {
      break;
    }
    search_from(start, rule_.start);
    search_from(end, rule_.end);
  }
  std::erase_if(closed, [&](const range& section) { return section.end - section.begin < rule_.bytes_min; });
  return closed;
}

/// `literal`: a JSON string with its quotes, a part of `data`.
void section_stripper::add_cuts_of_text(std::string_view literal, std::string_view data, ranges& cuts) const {
  const auto text = text_of(literal);
  if (!text)
    return;
  const auto begin = static_cast<std::size_t>(literal.data() - data.data()) + 1;
  literal_walk walk(literal.substr(1, literal.size() - 2));
  for (const auto& section : find_sections(*text)) {
    range cut;
    walk.walk_to(section.begin, nullptr);
    cut.begin = begin + walk.at();
    walk.walk_to(section.end, nullptr);
    cut.end = begin + walk.at();
    cuts.push_back(cut);
  }
}

void section_stripper::add_cuts_of_part(std::string_view part, std::string_view data, ranges& cuts) const {
  // Written, a text is never shorter; so a message of very many small parts costs little.
  constexpr std::string_view empty_part = R"({"type":"text","text":""})";
  if (part.size() < empty_part.size() + least_bytes_)
    return;
  const auto members = split_object(part);
  if (!members || text_of(find_member(*members, "type")) != "text")
    return;
  add_cuts_of_text(find_member(*members, "text"), data, cuts);
}

section_stripper::ranges section_stripper::find_cuts(std::string_view data) const {
  ranges cuts;
  if (data.size() < least_bytes_)
    return cuts;
  const auto members = split_object(data);
  if (!members)
    return cuts;
  const auto content = find_member(*members, "content");
  if (is_string(content)) {
    add_cuts_of_text(content, data, cuts);
  } else if (const auto parts = split_array(content)) {
    for (const auto part : *parts)
      add_cuts_of_part(part, data, cuts);
  }
  return cuts;
}

std::optional<section_stripper::stripped> section_stripper::strip(std::string_view data) const {
  const auto cuts = find_cuts(data);
  if (cuts.empty())
    return std::nullopt;
  stripped out;
  out.sections = cuts.size();
  std::size_t at = 0;
  for (const auto& cut : cuts) {
    out.data.append(data, at, cut.begin - at);
    at = cut.end;
  }
  out.data.append(data, at);
  return out;
}

std::vector<strip_report> section_stripper::strip_below(event_offset offset, std::span<event> messages) const {
  std::vector<strip_report> reports;
  for (auto& message : messages) {
    if (!is_users(message) || message.offset >= offset)
      continue;
    if (auto less = strip(message.data)) {
      reports.push_back({message.offset, less->sections, message.data.size() - less->data.size()});
      message.data = std::move(less->data);
    }
  }
  return reports;
}

std::vector<strip_report> section_stripper::dry_run_below(event_offset offset, std::span<const event> messages) const {
  std::vector<strip_report> reports;
  for (const auto& message : messages) {
    if (!is_users(message) || message.offset >= offset)
      continue;
    strip_report report{message.offset};
    for (const auto& cut : find_cuts(message.data)) {
      ++report.sections;
      report.bytes += cut.end - cut.begin;
    }
    if (report.sections > 0)
      reports.push_back(report);
  }
  return reports;
}

} // namespace colloquy
