#include "cli/transcript.hpp"

#include "messages/content.hpp"
#include "messages/limits.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace colloquy::cli {
namespace {

/// Far below the least that a batch may hold with its one largest event, and large enough that requests are few.
constexpr std::size_t step_bytes_max = std::size_t{512} << 10;

error bad(std::string why) {
  return {error_code::invalid_request, std::move(why)};
}

result<void> check_id(std::string_view json) {
  if (!json.starts_with('"'))
    return bad("conversation_id is not a string");
  if (auto checked = check_json(json); !checked)
    return bad("conversation_id: " + checked.failure().message);
  const auto id = nlohmann::json::parse(json).get<std::string>();
  const auto characters = static_cast<std::size_t>(
      std::count_if(id.begin(), id.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  if (characters < 1 || characters > limits::name_chars_max)
    return bad("conversation_id has " + std::to_string(characters) + " characters; allowed are 1 to " +
               std::to_string(limits::name_chars_max));
  return {};
}

result<std::vector<event_input>> parse_messages(std::string_view json) {
  auto elements = split_array(json);
  if (!elements)
    return bad("messages is not an array");
  std::vector<event_input> messages;
  messages.reserve(elements->size());
  for (auto element : *elements) {
    auto message = parse_message(element);
    if (!message)
      return bad("message " + std::to_string(messages.size() + 1) + ": " + message.failure().message);
    messages.push_back(std::move(*message));
  }
  return messages;
}

/// Why a text that did not split is none of ours.
error not_an_object(std::string_view text) {
  // Inside are messages, which may nest as deep as any, below two levels of ours.
  if (auto checked = check_json(text, limits::json_depth_max + 2); !checked)
    return checked.failure();
  return bad("not a JSON object");
}

/// Adds the steps for the messages [first, last), the last of them of the kind `final`.
void add_steps(std::vector<replay_step>& steps, const std::vector<event_input>& messages, std::size_t first,
               std::size_t last, step_kind kind, step_kind final) {
  for (;;) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    while (first + count < last && count < limits::events_per_append_max) {
      bytes += messages[first + count].cost_bytes();
      if (count > 0 && bytes > step_bytes_max)
        break;
      ++count;
    }
    const bool ends = first + count == last;
    steps.push_back({ends ? final : kind, first, count});
    first += count;
    if (ends)
      return;
  }
}

} // namespace

std::vector<replay_step> make_steps(const std::vector<event_input>& messages) {
  std::vector<replay_step> steps;
  const auto is_users = [](const event_input& message) { return message.role == message_role::user; };
  auto at = std::find_if(messages.begin(), messages.end(), is_users);
  const auto index = [&](auto where) { return static_cast<std::size_t>(where - messages.begin()); };
  if (at != messages.begin())
    add_steps(steps, messages, 0, index(at), step_kind::append, step_kind::append);
  while (at != messages.end()) {
    steps.push_back({step_kind::start_turn, index(at), 1});
    const auto next = std::find_if(at + 1, messages.end(), is_users);
    add_steps(steps, messages, index(at) + 1, index(next), step_kind::append_in_turn, step_kind::end_turn);
    at = next;
  }
  return steps;
}

result<conversation> parse_conversation(std::string_view text) {
  auto members = split_object(text);
  if (!members)
    return not_an_object(text);
  conversation read;
  std::unordered_set<std::string_view> keys;
  for (const auto& [key, value] : *members) {
    if (!keys.insert(key).second)
      return bad("a field is there twice");
    if (key == "conversation_id") {
      if (auto checked = check_id(value); !checked)
        return std::move(checked.failure());
      read.id_json = value;
    } else if (key == "messages") {
      auto messages = parse_messages(value);
      if (!messages)
        return std::move(messages.failure());
      read.messages = std::move(*messages);
    } else if (auto checked = check_json(value); !checked) {
      return std::move(checked.failure());
    }
  }
  for (const char* needed : {"conversation_id", "messages"})
    if (!keys.contains(needed))
      return bad("no " + std::string(needed));
  read.steps = make_steps(read.messages);
  for (const auto& step : read.steps)
    read.turns += step.kind == step_kind::start_turn ? 1 : 0;
  for (const auto& message : read.messages)
    read.cost_bytes += message.cost_bytes();
  return read;
}

transcript_reader::transcript_reader(std::vector<std::filesystem::path> files, std::size_t line_bytes)
  : files_(std::move(files))
  , line_bytes_(line_bytes) {}

transcript_reader::item transcript_reader::next() {
  for (; file_ < files_.size(); ++file_, open_.reset()) {
    if (!open_) {
      auto opened = line_reader::open(files_[file_], line_bytes_);
      if (!opened)
        return bad_line{file_++, 0, opened.failure().message};
      open_.emplace(std::move(*opened));
    }
    if (auto found = next_of_file())
      return *std::move(found);
  }
  return end{};
}

std::optional<transcript_reader::item> transcript_reader::next_of_file() {
  for (;;) {
    auto read = open_->next();
    if (!read) {
      open_.reset();
      return bad_line{file_++, 0, read.failure().message};
    }
    if (!*read)
      return std::nullopt;
    const text_line& line = **read;
    if (line.too_long)
      return bad_line{file_, line.number, "longer than " + std::to_string(line_bytes_) + " bytes"};
    if (line.text.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    auto parsed = parse_conversation(line.text);
    if (!parsed)
      return bad_line{file_, line.number, std::move(parsed.failure().message)};
    parsed->file = file_;
    parsed->line = line.number;
    return std::make_shared<const conversation>(std::move(*parsed));
  }
}

} // namespace colloquy::cli
