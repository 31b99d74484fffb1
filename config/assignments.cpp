#include "config/assignments.hpp"

#include <algorithm>
#include <fstream>
#include <optional>

namespace colloquy::config {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  return text;
}

bool is_name(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && is_letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
  });
}

/// "A # comment" begins at a '#' that a blank precedes, so that a '#' inside a password is kept.
std::string_view without_comment(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '#' && at > 0 && is_blank(text[at - 1]))
      return text.substr(0, at);
  }
  return text;
}

std::string with_unix_line_ends(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\r' || at + 1 == text.size() || text[at + 1] != '\n')
      plain += text[at];
  }
  if (plain.ends_with('\r'))
    plain.pop_back();
  return plain;
}

/// A double-quoted value is cut where an escape gives a '$', so that no reference is seen across it.
void add_escaped(written_value& value, char escaped) {
  switch (escaped) {
  case 'n':
    value.back().text += '\n';
    return;
  case 'r':
    value.back().text += '\r';
    return;
  case 't':
    value.back().text += '\t';
    return;
  case '\\':
  case '"':
    value.back().text += escaped;
    return;
  case '$':
    value.push_back({"$", false});
    value.push_back({"", true});
    return;
  default:
    value.back().text += '\\';
    value.back().text += escaped;
  }
}

struct quoted_value {
  written_value value;
  std::size_t end; ///< after the closing quote
};

/// `text` begins with the quote. Nothing if it is not closed.
std::optional<quoted_value> scan_quoted(std::string_view text) {
  const char quote = text.front();
  if (quote == '\'') {
    const auto end = text.find(quote, 1);
    if (end == std::string_view::npos)
      return std::nullopt;
    return quoted_value{{{std::string(text.substr(1, end - 1)), false}}, end + 1};
  }
  quoted_value found{{{"", true}}, 0};
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == quote) {
      found.end = at + 1;
      return found;
    }
    if (text[at] == '\\' && at + 1 < text.size())
      add_escaped(found.value, text[++at]);
    else
      found.value.back().text += text[at];
  }
  return std::nullopt;
}

class parser {
public:
  parser(std::string_view text, dialect kind)
    : rest_(text)
    , kind_(kind) {}

  std::vector<assignment> run() {
    while (!rest_.empty()) {
      const auto line = trimmed(rest_.substr(0, rest_.find('\n')));
      if (line.empty() || line.front() == '#')
        advance(rest_.find('\n'));
      else
        parse_line();
    }
    return std::move(found_);
  }

private:
  void parse_line() {
    const auto line = rest_.substr(0, rest_.find('\n'));
    const auto equals = line.find('=');
    auto name = trimmed(line.substr(0, equals));
    const bool exported = kind_ == dialect::env_file && (name.starts_with("export ") || name.starts_with("export\t"));
    if (exported)
      name = trimmed(name.substr(7));
    if (equals == std::string_view::npos) {
      // `export NAME` alone is a shell's way to pass on what is set already; it sets nothing.
      if (!exported)
        add(name.substr(0, name.find_first_of(" \t:")), {}, "is not of the form NAME = value");
      advance(line.size());
      return;
    }
    if (!is_name(name)) {
      add({}, {}, "is not of the form NAME = value");
      advance(line.size());
      return;
    }
    parse_value(name, line, equals + 1);
  }

  /// `line` begins at rest_; the value begins at `start` of it.
  void parse_value(std::string_view name, std::string_view line, std::size_t start) {
    while (start < line.size() && is_blank(line[start]))
      ++start;
    if (start == line.size() || (line[start] != '"' && line[start] != '\'')) {
      // The blank before `start` lets a value that is all comment be seen as one.
      const auto from = start > 0 ? start - 1 : start;
      const auto value = trimmed(without_comment(line.substr(from)).substr(start - from));
      add(name, {{std::string(value), true}}, {});
      advance(line.size());
      return;
    }
    const bool may_span = kind_ == dialect::env_file;
    const auto quoted = scan_quoted((may_span ? rest_ : line).substr(start));
    if (!quoted) {
      add(name, {}, "has a quote that is not closed");
      advance(line.size());
      return;
    }
    const auto end = start + quoted->end;
    const auto after = rest_.substr(end, rest_.find('\n', end) - end);
    const auto leftover = trimmed(after);
    if (!leftover.empty() && leftover.front() != '#')
      add(name, {}, "has text after the closing quote");
    else
      add(name, quoted->value, {});
    advance(end + after.size());
  }

  void add(std::string_view name, written_value value, std::string fault) {
    found_.push_back(
        {std::string(is_name(name) ? name : std::string_view()), std::move(value), line_number_, std::move(fault)});
  }

  /// Goes past `count` characters and the line end that follows them.
  void advance(std::size_t count) {
    const auto passed = rest_.substr(0, count == std::string_view::npos ? count : count + 1);
    line_number_ += static_cast<std::size_t>(std::count(passed.begin(), passed.end(), '\n'));
    rest_.remove_prefix(passed.size());
  }

  std::string_view rest_;
  dialect kind_;
  std::size_t line_number_ = 1;
  std::vector<assignment> found_;
};

} // namespace

std::string as_written(const written_value& value) {
  std::string text;
  for (const auto& each : value)
    text += each.text;
  return text;
}

std::vector<assignment> parse_assignments(std::string_view text, dialect kind) {
  if (text.starts_with(byte_order_mark))
    text.remove_prefix(byte_order_mark.size());
  const auto plain = with_unix_line_ends(text);
  return parser(plain, kind).run();
}

result<std::string> read_settings_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return error{error_code::invalid_request, "cannot be opened for reading"};
  // One more than allowed tells too large from just fitting, without asking a pipe for its size.
  std::string text(settings_file_size_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof()))
    return error{error_code::invalid_request, "cannot be read"};
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > settings_file_size_max)
    return error{error_code::invalid_request, "is larger than 1MiB"};
  if (text.find('\0') != std::string::npos)
    return error{error_code::invalid_request, "holds a NUL byte, so it is no text"};
  return text;
}

} // namespace colloquy::config
