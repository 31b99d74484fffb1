#include "gateway/import_reader.hpp"

#include "gateway/shapes.hpp"
#include "messages/content.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <map>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;

// Well below what one append may have.
constexpr std::size_t piece_bytes_max = std::size_t{8} << 20;
constexpr int line_depth_max = limits::json_depth_max + 4;
constexpr std::int64_t count_max = 1'000'000'000'000; // so that sums of them stay numbers

class import_read {
public:
  import_read(const size_limits& limits, timestamp now)
    : reader_(limits)
    , event_bytes_max_(limits.message_bytes_max)
    , now_(now) {}

  import_reading run(std::string_view body) {
    std::size_t number = 0;
    while (!body.empty()) {
      const auto end = std::min(body.find('\n'), body.size());
      const auto line = body.substr(0, end);
      body.remove_prefix(std::min(end + 1, body.size()));
      ++number;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos)
        read_line("/" + std::to_string(number), line);
    }
    finish_session();
    if (!has_ended_ && reader_.count() == 0)
      complain("", "the last line, of type end, is missing: this is not all that was exported");
    import_reading out;
    out.mistakes = reader_.mistakes();
    out.mistake_count = reader_.count();
    out.is_too_large = reader_.is_too_large();
    if (out.mistake_count == 0)
      out.sessions = std::move(sessions_);
    return out;
  }

private:
  void complain(const std::string& pointer, std::string detail) {
    reader_.add({mistake::place::body, pointer, std::move(detail)});
  }

  // What replies say in any length, calls take in some lengths only.
  void check_length(const std::string& at, const values& said, std::string_view name, std::size_t least,
                    std::size_t most) {
    const auto text = said.text(name);
    const auto characters = text ? count_characters(*text) : least;
    if (characters < least || characters > most)
      complain(at + "/" + std::string(name),
               "must be a string of " + std::to_string(least) + " to " + std::to_string(most) + " characters");
  }
  void check_count(const std::string& at, std::string_view name, std::int64_t count) {
    if (count < 0 || count > count_max)
      complain(at + "/" + std::string(name), "must be a whole number, 0 to " + std::to_string(count_max));
  }

  void read_line(const std::string& at, std::string_view line) {
    if (auto checked = check_json(line, line_depth_max); !checked)
      return complain(at, "the line is not what it must be: " + checked.failure().message);
    const auto members = split_object(line);
    if (!members || members->empty() || members->front().key != "type")
      return complain(at, "a line is an object that begins with its type");
    const auto type = members->front().value;
    if (has_ended_)
      return complain(at, "there is more behind the line of type end");
    if (type == "\"end\"") {
      has_ended_ = true;
      return;
    }
    const bool has_one = members->size() == 2 && "\"" + (*members)[1].key + "\"" == type;
    if (!has_one)
      return complain(at, "a line has a type of session, participant, turn, event or end, and a member of that name");
    const auto where = at + "/" + (*members)[1].key;
    if (type == "\"session\"")
      return read_session(where, (*members)[1].value);
    if (sessions_.empty())
      return complain(at, "a session must come first");
    if (type == "\"participant\"")
      return read_participant(where, (*members)[1].value);
    if (type == "\"turn\"")
      return read_turn(where, (*members)[1].value);
    if (type == "\"event\"")
      return read_event(where, (*members)[1].value);
    complain(at + "/type", "must be session, participant, turn, event or end");
  }

  void read_session(const std::string& at, std::string_view json) {
    finish_session();
    values said;
    reader_.read_object(at, json, shapes::exported_session, said);
    for (const auto* name : {"user_id", "agent_id", "external_id"})
      check_length(at, said, name, 1, limits::name_chars_max);
    check_length(at, said, "title", 0, limits::title_chars_max);
    if (sessions_.size() >= imported_sessions_max)
      return complain(at, "an import has at most " + std::to_string(imported_sessions_max) + " sessions");
    auto& made = sessions_.emplace_back();
    made.exported_id = uuid_to_string(said.maybe<uuid_bytes>("id").value_or(uuid_bytes{}));
    made.status = parse_session_status(said.text_or("status", "active")).value_or(session_status::active);
    made.wanted.user_id = said.text_or("user_id", "");
    made.wanted.agent_id = said.text("agent_id");
    made.wanted.external_id = said.text("external_id");
    made.wanted.title = said.text("title");
    made.wanted.metadata = said.raw_or("metadata", "{}");
    made.wanted.labels = said.maybe<std::vector<std::string>>("labels").value_or(std::vector<std::string>());
    made.wanted.mode = parse_session_mode(said.text_or("mode", "auto")).value_or(session_mode::automatic);
    for (const auto& [client, offset] : said.maybe<offset_pairs>("consumption_offsets").value_or(offset_pairs()))
      if (offset)
        made.wanted.consumption_offsets.emplace(client, *offset);
    if (said.text_or("customer_id", made.wanted.user_id) != made.wanted.user_id)
      complain(at + "/customer_id", "must be what user_id is");
    if (said.is_null("expires_at"))
      made.wanted.expires_in.reset();
    else if (const auto expires = said.maybe<timestamp>("expires_at"); expires && *expires > now_ + 1s)
      made.wanted.expires_in = std::chrono::duration_cast<std::chrono::seconds>(*expires - now_);
  }

  void read_participant(const std::string& at, std::string_view json) {
    values said;
    reader_.read_object(at, json, shapes::participant, said);
    check_length(at, said, "user_id", 1, limits::name_chars_max);
    sessions_.back().participants.push_back(
        {said.text_or("user_id", ""),
         parse_participant_role(said.text_or("role", "reader")).value_or(participant_role::reader)});
  }

  void read_turn(const std::string& at, std::string_view json) {
    values said;
    reader_.read_object(at, json, shapes::turn, said);
    const auto id = said.maybe<uuid_bytes>("id").value_or(uuid_bytes{});
    turn_record turn;
    turn.id = turn_id::make();
    turn.number = said.integer_or("number", 0);
    turn.status = parse_turn_status(said.text_or("status", "lost")).value_or(turn_status::lost);
    turn.trace_id = said.text_or("trace_id", "");
    turn.started_at = said.maybe<timestamp>("started_at").value_or(timestamp{});
    turn.ended_at = said.maybe<timestamp>("ended_at");
    if (const auto* usage = said.shape("usage"))
      turn.usage = token_usage{usage->integer_or("input_tokens", 0), usage->integer_or("output_tokens", 0)};
    check_length(at, said, "trace_id", 0, limits::name_chars_max);
    check_count(at, "number", turn.number);
    if (turn.usage) {
      check_count(at + "/usage", "input_tokens", turn.usage->input_tokens);
      check_count(at + "/usage", "output_tokens", turn.usage->output_tokens);
    }
    if (turn.status == turn_status::queued)
      return;
    if (turn.status == turn_status::running)
      turn.status = turn_status::lost;
    if (!turn.ended_at)
      turn.ended_at = now_;
    if (*turn.ended_at < turn.started_at)
      return complain(at + "/ended_at", "must not be before started_at");
    turns_.emplace(id, std::move(turn));
  }

  void read_event(const std::string& at, std::string_view json) {
    values said;
    const auto before = reader_.count();
    reader_.read_object(at, json, shapes::event, said);
    for (const auto* name : {"source", "trace_id", "author"})
      check_length(at, said, name, 1, limits::name_chars_max);
    if (reader_.count() > before)
      return;
    const auto data = said.raw_or("data", "null");
    event_input input;
    input.kind = parse_event_kind(said.text_or("kind", "custom")).value_or(event_kind::custom);
    if (input.kind == event_kind::message) {
      auto message = reader_.read_message(at + "/data", data);
      if (!message)
        return;
      input = std::move(*message);
    } else if (data.size() > event_bytes_max_) {
      return reader_.add_too_large({mistake::place::body, at + "/data",
                                    "has " + std::to_string(data.size()) + " bytes; at most " +
                                        std::to_string(event_bytes_max_) + " are allowed"});
    } else {
      input.data = std::string(data);
    }
    input.source = said.text_or("source", "");
    input.trace_id = said.text_or("trace_id", "");
    add_event(std::move(input), said);
  }

  void add_event(event_input input, const values& said) {
    auto& session = sessions_.back();
    if (session.pieces.empty() || session.pieces.back().events.size() >= limits::events_per_append_max ||
        piece_bytes_ + input.data.size() > piece_bytes_max) {
      session.pieces.emplace_back();
      piece_bytes_ = 0;
    }
    auto& piece = session.pieces.back();
    piece_bytes_ += input.data.size();
    piece.log.created_at.push_back(said.maybe<timestamp>("created_at").value_or(now_));
    piece.log.authors.push_back(said.text_or("author", ""));
    piece.log.turns.push_back(turn_of(said, piece.log));
    piece.events.push_back(std::move(input));
    if (said.truth("deleted"))
      add_deleted(session, static_cast<event_offset>(session.events));
    ++session.events;
  }

  static void add_deleted(session_to_import& session, event_offset offset) {
    if (!session.deleted.empty() && session.deleted.back().last + 1 == offset)
      ++session.deleted.back().last;
    else
      session.deleted.push_back({offset, offset});
  }

  /// With its first event the turn itself is written.
  turn_id turn_of(const values& said, imported_log& log) {
    const auto exported = said.maybe<uuid_bytes>("turn_id");
    const auto found = exported ? turns_.find(*exported) : turns_.end();
    if (found == turns_.end())
      return {};
    if (written_.emplace(*exported, true).second) {
      log.ended_turns.push_back(found->second);
      ++sessions_.back().turns;
    }
    return found->second.id;
  }

  void finish_session() {
    turns_.clear();
    written_.clear();
    piece_bytes_ = 0;
  }

  field_reader reader_;
  std::size_t event_bytes_max_;
  timestamp now_;
  std::vector<session_to_import> sessions_;
  std::map<uuid_bytes, turn_record> turns_; // by their exported ids
  std::map<uuid_bytes, bool> written_;
  std::size_t piece_bytes_ = 0;
  bool has_ended_ = false;
};

} // namespace

import_reading read_import(std::string_view body, const size_limits& limits, timestamp now) {
  return import_read(limits, now).run(body);
}

} // namespace colloquy::gateway
