// Taking marked sections out of users' messages when they are read: context that a host put in front of each question
// (files, search results) and that only the newest questions still need. What is stored does not change.
//
// A section begins with the start marker and ends with the end marker, both included. It is looked for in the text that
// the JSON stands for, so "\u003cctx>" is "<ctx>"; what is cut is whole characters of the JSON as written, and all
// other bytes of `data` stay what they were. Texts are `content` if that is a string, else the `text` of each of its
// parts of type `text`; a section does not reach from one text into the next.
//
// Nested sections go with the outermost one that is closed. An end closes the nearest start before it that is still
// open. A start that nothing closes and an end without a start are text and stay: half a section may be the user's own
// words. If the markers are the same, each second one is an end. Where both begin at once, the longer one counts. What
// comes to stand together by a cut is not looked at again.
//
// A text may become "", which is still a message; some models refuse it. `tokens` stay those of the whole message: who
// fits messages into a budget and strips them afterwards is below it.
#pragma once

#include "messages/error.hpp"
#include "messages/event.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

struct strip_rule {
  std::string start;
  std::string end;
  std::size_t bytes_min = 0; ///< smaller sections stay: UTF-8 bytes of the text, markers included
};

/// What would go, or went, of one message.
struct strip_report {
  event_offset offset = 0;
  std::size_t sections = 0; ///< above 0; outermost ones
  std::size_t bytes = 0;    ///< by which `data` gets shorter
};

/// The offset from which on the newest `count` users' messages of these lie, in whatever order they are. Above all
/// offsets if count is 0; 0 if there are no more than count. Of a page that is not the log's last, it tells nothing.
event_offset newest_user_messages_from(std::span<const event> messages, std::size_t count);

/// Immutable, so several threads may use one.
class section_stripper {
public:
  static constexpr std::size_t marker_bytes_max = 256;

  /// Errors: invalid_request if a marker is empty, too long or no valid UTF-8 without NUL.
  static result<section_stripper> make(strip_rule rule);

  struct stripped {
    std::string data;
    std::size_t sections = 0;
  };
  /// One message's data; none if nothing goes, also if it is no message.
  std::optional<stripped> strip(std::string_view data) const;

  /// Strips the users' messages below that offset. The reports are in the order of the messages and name only those
  /// that something went of.
  std::vector<strip_report> strip_below(event_offset offset, std::span<event> messages) const;

  /// What strip_below would report; changes nothing.
  std::vector<strip_report> dry_run_below(event_offset offset, std::span<const event> messages) const;

private:
  explicit section_stripper(strip_rule rule);

  struct range {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  using ranges = std::vector<range>; ///< rising, apart from each other

  ranges find_cuts(std::string_view data) const;
  void add_cuts_of_part(std::string_view part, std::string_view data, ranges& cuts) const;
  void add_cuts_of_text(std::string_view literal, std::string_view data, ranges& cuts) const;
  ranges find_sections(std::string_view text) const;

  strip_rule rule_;
  std::size_t least_bytes_ = 0; ///< no section is smaller
};

} // namespace colloquy
