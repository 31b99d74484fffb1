#include "config/setting_kinds.hpp"

#include "config/units.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace colloquy::config {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, log_level>, 7> level_names{{
    {"trace", log_level::trace},
    {"debug", log_level::debug},
    {"info", log_level::info},
    {"warn", log_level::warn},
    {"error", log_level::error},
    // As other programs that share the name LOG_LEVEL call them.
    {"warning", log_level::warn},
    {"critical", log_level::error},
}};

constexpr std::array<std::pair<std::string_view, bool>, 8> truths{{{"true", true},
                                                                   {"false", false},
                                                                   {"yes", true},
                                                                   {"no", false},
                                                                   {"on", true},
                                                                   {"off", false},
                                                                   {"1", true},
                                                                   {"0", false}}};

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string in_small_letters(std::string_view text) {
  std::string small(text);
  std::transform(small.begin(), small.end(), small.begin(), lower);
  return small;
}

std::string own_name(std::string_view name) {
  std::string own = "COLLOQUY_";
  std::transform(name.begin(), name.end(), std::back_inserter(own), upper);
  return own;
}

result<void> refused(std::string allowed) {
  return error{error_code::invalid_request, std::move(allowed)};
}

/// Everything but the default, `read` and `write`, which need the member.
setting_descriptor describe(std::string_view name, setting_kind kind, std::string allowed, std::string_view meaning,
                            names older) {
  older.insert(older.begin(), environment_name{own_name(name)});
  return {name, kind, {}, std::move(allowed), meaning, std::move(older), secrecy::none, {}, {}};
}

setting_descriptor with_default(setting_descriptor descriptor) {
  descriptor.default_text = descriptor.write(settings{});
  return descriptor;
}

/// A bare number in the unit of an older name; what is allowed is said in that unit too.
result<milliseconds> read_bare(std::string_view text, range<milliseconds> allowed, spelling written) {
  const bool in_seconds = written == spelling::bare_seconds;
  const milliseconds unit{in_seconds ? 1000 : 1};
  const auto min = (allowed.min + unit - milliseconds{1}) / unit;
  const auto max = allowed.max / unit;
  const auto number = parse_whole_number(text);
  if (!number || *number < static_cast<std::uint64_t>(min) || *number > static_cast<std::uint64_t>(max))
    return error{error_code::invalid_request, "a whole number of " +
                                                  std::string(in_seconds ? "seconds" : "milliseconds") + ", " +
                                                  std::to_string(min) + " to " + std::to_string(max)};
  return unit * static_cast<milliseconds::rep>(*number);
}

std::string allowed_phrase(setting_kind kind, const std::string& allowed) {
  return kind_phrase(kind) + ", " + allowed;
}

/// Counts and sizes differ only in how they are written.
setting_descriptor number_setting(setting_descriptor descriptor, std::size_t settings::*member,
                                  range<std::size_t> allowed, std::optional<std::size_t> (*parse)(std::string_view),
                                  std::string (*format)(std::size_t)) {
  const auto phrase = allowed_phrase(descriptor.kind, descriptor.allowed);
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    const auto number = parse(text);
    if (!number || *number < allowed.min || *number > allowed.max)
      return refused(phrase);
    into.*member = *number;
    return {};
  };
  descriptor.write = [=](const settings& from) { return format(from.*member); };
  return with_default(std::move(descriptor));
}

std::optional<std::size_t> parse_count(std::string_view text) {
  return parse_whole_number(text);
}

std::string format_count(std::size_t count) {
  return std::to_string(count);
}

/// "a, b or c"
std::string one_of(const std::vector<std::string_view>& words) {
  std::string list(words.front());
  for (std::size_t i = 1; i < words.size(); ++i)
    list += (i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
  return list;
}

} // namespace

std::string kind_phrase(setting_kind kind) {
  switch (kind) {
  case setting_kind::text:
    return "text";
  case setting_kind::path:
    return "a path";
  case setting_kind::level:
    return "a level";
  case setting_kind::count:
    return "a whole number";
  case setting_kind::duration:
    return "a duration with its unit (" + std::string(duration_units) + ")";
  case setting_kind::size:
    return "a size with its unit (" + std::string(size_units) + ")";
  }
  return "text";
}

setting_descriptor count_setting(std::string_view name, std::size_t settings::*member, range<std::size_t> allowed,
                                 std::string_view meaning, names older) {
  auto text = format_count(allowed.min) + " to " + format_count(allowed.max);
  return number_setting(describe(name, setting_kind::count, std::move(text), meaning, std::move(older)), member,
                        allowed, parse_count, format_count);
}

setting_descriptor size_setting(std::string_view name, std::size_t settings::*member, range<std::size_t> allowed,
                                std::string_view meaning, names older) {
  auto text = format_size(allowed.min) + " to " + format_size(allowed.max);
  return number_setting(describe(name, setting_kind::size, std::move(text), meaning, std::move(older)), member, allowed,
                        parse_size, format_size);
}

setting_descriptor duration_setting(std::string_view name, milliseconds settings::*member, range<milliseconds> allowed,
                                    std::string_view meaning, names older) {
  auto descriptor =
      describe(name, setting_kind::duration, format_duration(allowed.min) + " to " + format_duration(allowed.max),
               meaning, std::move(older));
  const auto phrase = allowed_phrase(descriptor.kind, descriptor.allowed);
  descriptor.read = [=](settings& into, std::string_view text, spelling written) -> result<void> {
    if (written != spelling::with_unit) {
      const auto bare = read_bare(text, allowed, written);
      if (!bare)
        return bare.failure();
      into.*member = *bare;
      return {};
    }
    const auto duration = parse_duration(text);
    if (!duration || *duration < allowed.min || *duration > allowed.max)
      return refused(phrase);
    into.*member = *duration;
    return {};
  };
  descriptor.write = [=](const settings& from) { return format_duration(from.*member); };
  return with_default(std::move(descriptor));
}

setting_descriptor text_setting(std::string_view name, std::string settings::*member, text_rule rule,
                                std::string_view meaning, names older) {
  auto descriptor = describe(name, setting_kind::text, rule.allowed, meaning, std::move(older));
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    if (!rule.accepts(text))
      return refused(allowed_phrase(setting_kind::text, rule.allowed));
    into.*member = std::string(text);
    return {};
  };
  descriptor.write = [=](const settings& from) { return from.*member; };
  return with_default(std::move(descriptor));
}

setting_descriptor optional_text_setting(std::string_view name, std::optional<std::string> settings::*member,
                                         text_rule rule, std::string_view meaning, names older) {
  auto descriptor = describe(name, setting_kind::text, rule.allowed, meaning, std::move(older));
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    if (!text.empty() && !rule.accepts(text))
      return refused(allowed_phrase(setting_kind::text, rule.allowed));
    into.*member = text.empty() ? std::nullopt : std::optional<std::string>(text);
    return {};
  };
  descriptor.write = [=](const settings& from) { return (from.*member).value_or(std::string()); };
  return with_default(std::move(descriptor));
}

setting_descriptor path_setting(std::string_view name, std::filesystem::path settings::*member,
                                std::string default_text, text_rule rule, std::string_view meaning) {
  auto descriptor = describe(name, setting_kind::path, rule.allowed, meaning, {});
  descriptor.default_text = std::move(default_text);
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    if (!rule.accepts(text))
      return refused(allowed_phrase(setting_kind::path, rule.allowed));
    into.*member = std::filesystem::path(text);
    return {};
  };
  descriptor.write = [=](const settings& from) { return (from.*member).string(); };
  return descriptor;
}

setting_descriptor optional_path_setting(std::string_view name, std::optional<std::filesystem::path> settings::*member,
                                         text_rule rule, std::string_view meaning, names older) {
  auto descriptor = describe(name, setting_kind::path, rule.allowed, meaning, std::move(older));
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    if (!text.empty() && !rule.accepts(text))
      return refused(allowed_phrase(setting_kind::path, rule.allowed));
    into.*member = text.empty() ? std::nullopt : std::optional<std::filesystem::path>(text);
    return {};
  };
  descriptor.write = [=](const settings& from) { return from.*member ? (from.*member)->string() : std::string(); };
  return with_default(std::move(descriptor));
}

setting_descriptor level_setting(std::string_view name, log_level settings::*member, std::string_view meaning,
                                 names older) {
  auto descriptor = describe(name, setting_kind::level, "trace, debug, info, warn or error", meaning, std::move(older));
  const auto phrase = allowed_phrase(descriptor.kind, descriptor.allowed);
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    const auto small = in_small_letters(text);
    for (const auto& [written, level] : level_names) {
      if (written == small) {
        into.*member = level;
        return {};
      }
    }
    return refused(phrase);
  };
  descriptor.write = [=](const settings& from) { return std::string(to_string(from.*member)); };
  return with_default(std::move(descriptor));
}

setting_descriptor bool_setting(std::string_view name, bool settings::*member, std::string_view meaning, names older) {
  auto descriptor =
      describe(name, setting_kind::text, "true or false (or yes, no, on, off, 1, 0)", meaning, std::move(older));
  const auto phrase = allowed_phrase(descriptor.kind, descriptor.allowed);
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    const auto small = in_small_letters(text);
    const auto* found =
        std::find_if(truths.begin(), truths.end(), [&](const auto& each) { return each.first == small; });
    if (found == truths.end())
      return refused(phrase);
    into.*member = found->second;
    return {};
  };
  descriptor.write = [=](const settings& from) { return std::string(from.*member ? "true" : "false"); };
  return with_default(std::move(descriptor));
}

setting_descriptor word_setting(std::string_view name, word_member member, std::string_view meaning, names older) {
  auto descriptor =
      describe(name, setting_kind::text, one_of(member.words) + (member.may_be_empty ? "; empty to leave it open" : ""),
               meaning, std::move(older));
  const auto phrase = allowed_phrase(descriptor.kind, descriptor.allowed);
  descriptor.read = [=](settings& into, std::string_view text, spelling) -> result<void> {
    const auto found = std::find(member.words.begin(), member.words.end(), in_small_letters(text));
    const bool is_absent = text.empty() && member.may_be_empty;
    if (found == member.words.end() && !is_absent)
      return refused(phrase);
    member.set(into, is_absent ? std::nullopt : std::optional<std::size_t>(found - member.words.begin()));
    return {};
  };
  descriptor.write = [=](const settings& from) {
    const auto place = member.get(from);
    return place ? std::string(member.words[*place]) : std::string();
  };
  return with_default(std::move(descriptor));
}

} // namespace colloquy::config
