// What the load says to who watches it, one line a fact on standard output: "kind name=value name=value". A line is
// written whole before the caller goes on, so whoever reads the pipe knows what had been answered when the load died.
//
// ready      owned                                     the service has started
// asking     caller session tag count                  an append with an idempotency key (the tag) is about to be asked
// made       caller session                            durable
// forked     caller session parent offset              durable
// appended   caller session offset durability tag count digests [turn] [key]
// started    caller session turn offset digests        a turn is the caller's; its starting messages
// ended      caller session turn status input output digests
// refused    caller session op code why
// fault      caller session why                        what must never be answered
// stopped    outcome                                   the service has ended in order, or why not
//
// To the load, in the file named by --known: session, repeat (session tag count), turn (session turn expect).
//
// session is TENANT/UUID; digests are in order, with commas; why has '_' for spaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::checker {

struct line {
  std::string kind;
  std::map<std::string, std::string, std::less<>> words{};

  /// "" if it is not there.
  const std::string& operator[](std::string_view name) const;
  /// -1 if it is not there or no number.
  std::int64_t number(std::string_view name) const;
};

/// Without the end of the line.
std::string to_text(const line& said);
line parse_line(std::string_view text);
std::vector<std::string> split(std::string_view text, char at);

/// The JSON of one of the messages of an append: no other append has the same, and who knows the tag can make it again.
std::string message_text(const std::string& tag, std::size_t index);

/// The first half of its SHA-256, in hexadecimal; digest_sql makes the same of an SQL expression.
std::string digest_of(std::string_view text);
std::string digest_sql(const std::string& expression);

} // namespace colloquy::checker
