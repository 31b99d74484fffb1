#include "tests/actors/model/reference.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::model {
namespace {

std::string shown(event_offset offset, const std::string& data) {
  return "offset " + std::to_string(offset) + " (" + data + ")";
}

std::string value_of(const std::string& data, const std::string& name) {
  const auto at = data.find('"' + name + "\":");
  if (at == std::string::npos)
    return {};
  const auto from = data.find_first_not_of('"', at + name.size() + 3);
  return data.substr(from, data.find_first_of("\",}", from) - from);
}

bool is_of_turn(const line& entry) {
  return entry.kind == "status" && parse_status(entry.data).number > 0;
}

} // namespace

status_line parse_status(const std::string& data) {
  status_line parsed{value_of(data, "status")};
  const auto number = value_of(data, "number");
  if (number.empty())
    return parsed;
  parsed.number = std::stoll(number);
  parsed.turn = turn_id::parse(value_of(data, "id")).value_or(turn_id{});
  return parsed;
}

std::size_t reference_session::new_write(texts data, turn_id turn, bool keeps_order) {
  writes_.push_back({std::move(data), turn, keeps_order});
  return writes_.size() - 1;
}

// --- what may be lost ------------------------------------------------------------------------------------------------

void reference_session::ask(std::size_t write) {
  auto& asked = writes_.at(write);
  ++asked.asked;
  asked.writer_died = asked.writer_died || (unknown_writer_ && !asked.is_stored);
}

void reference_session::learn_stored(const lines& own) {
  std::set<std::string> there;
  std::set<std::pair<turn_id, std::string>> ends;
  for (const auto& entry : own) {
    if (entry.kind != "status")
      there.insert(entry.data);
    else if (const auto status = parse_status(entry.data); status.number > 0)
      ends.emplace(status.turn, status.status);
  }
  for (auto& each : writes_)
    each.is_stored = each.is_stored || (!each.data.empty() && there.contains(each.data.front()));
  for (const auto& turn : turns)
    for (const auto& [how, index] : turn.ends)
      writes_[index].is_stored = writes_[index].is_stored || ends.contains({turn.id, std::string(to_string(how))});
  learn_writer();
}

/// What was asked since and is stored has come by the new writer.
void reference_session::learn_writer() {
  const auto is_stored = [](const asked_write& each) { return each.is_stored; };
  if (unknown_writer_ &&
      std::any_of(writes_.begin() + static_cast<std::ptrdiff_t>(*unknown_writer_), writes_.end(), is_stored))
    unknown_writer_.reset();
}

void reference_session::session_dies(const lines& own) {
  learn_stored(own);
  for (auto& each : writes_)
    each.session_died = each.session_died || !each.is_stored;
  for (auto& turn : turns)
    for (auto& renewal : turn.renewals)
      renewal.is_certain = false; // it was accepted, and may not have been stored
  ++deaths;
}

void reference_session::writer_dies(const lines& own) {
  learn_stored(own);
  for (auto& each : writes_)
    each.writer_died = each.writer_died || !each.is_stored;
  unknown_writer_ = writes_.size();
  ++deaths;
}

// --- the log ---------------------------------------------------------------------------------------------------------

void reference_session::check_group(const lines& own, std::size_t at, const asked_write& group) const {
  for (std::size_t i = 0; i < group.data.size(); ++i) {
    must(at + i < own.size() && own[at + i].data == group.data[i],
         "a write is there in part, at " + shown(own[at].offset, own[at].data));
    must(own[at + i].turn == group.turn, "written in another turn: " + shown(own[at + i].offset, own[at + i].data));
  }
}

void reference_session::check_log(const lines& own) const {
  std::map<std::string, std::size_t> write_of;
  for (std::size_t i = 0; i < writes_.size(); ++i)
    for (const auto& text : writes_[i].data)
      write_of.emplace(text, i);
  std::vector<std::size_t> times(writes_.size());
  for (std::size_t at = 0; at < own.size(); ++at)
    must(own[at].offset == first_own() + static_cast<event_offset>(at),
         "a gap, at " + shown(own[at].offset, own[at].data));
  std::size_t last = 0;
  for (std::size_t at = 0; at < own.size();) {
    const auto& entry = own[at];
    if (entry.kind == "status") {
      ++at;
      continue;
    }
    const auto found = write_of.find(entry.data);
    must(found != write_of.end(), "nobody has written " + shown(entry.offset, entry.data));
    const auto& group = writes_[found->second];
    must(++times[found->second] == 1, "written twice: " + shown(entry.offset, entry.data));
    must(!group.is_refused(), "refused, and yet written: " + shown(entry.offset, entry.data));
    // What was lost may have been asked for again, by a repeat whose own answer got lost.
    const bool may_be_elsewhere = group.was_at_risk() && group.asked > group.places.size();
    must(group.places.empty() || group.places.contains(entry.offset) || may_be_elsewhere,
         "not at the offset that was answered: " + shown(entry.offset, entry.data));
    const bool keeps_order = group.keeps_order && group.asked == 1;
    must(!keeps_order || found->second >= last, "out of order: " + shown(entry.offset, entry.data));
    check_group(own, at, group);
    if (keeps_order)
      last = found->second;
    at += group.data.size();
  }
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    const auto& each = writes_[i];
    const bool must_be_there = (each.is_taken && !each.may_be_lost()) || each.is_stored;
    must(each.data.empty() || !must_be_there || times[i] == 1,
         "accepted and not there: " + (each.data.empty() ? std::string() : each.data.front()));
    must(each.was_at_risk() || each.places.size() <= 1, "answered with two offsets: " + std::to_string(i));
  }
  for (const auto& [key, indexes] : keys) {
    std::size_t there = 0;
    for (const auto index : indexes)
      there += times[index];
    must(there <= 1, "two requests of one key were carried out: " + key);
  }
}

// --- turns -----------------------------------------------------------------------------------------------------------

std::set<turn_id> reference_session::rolled_back(const lines& own) {
  std::set<turn_id> hidden;
  for (const auto& entry : own)
    if (is_of_turn(entry))
      if (const auto status = parse_status(entry.data); status.status == to_string(turn_status::rolled_back))
        hidden.insert(status.turn);
  return hidden;
}

std::set<turn_id> reference_session::perhaps_rolled_back() const {
  const bool is_possible = std::any_of(turns.begin(), turns.end(), [this](const asked_turn& each) {
    return each.policy == turn_policy::rollback && writes_[each.start].was_at_risk();
  });
  std::set<turn_id> all;
  if (is_possible)
    for (const auto& each : turns)
      all.insert(each.id);
  return all;
}

const asked_turn& reference_session::find_turn(turn_id id) const {
  const auto found = std::find_if(turns.begin(), turns.end(), [id](const auto& each) { return each.id == id; });
  must(found != turns.end(), "a turn that nobody has asked for: " + id.to_string());
  return *found;
}

/// The last lease that is certain counts, and every one that was asked for since.
bool reference_session::may_be_lost_at(const asked_turn& turn, const line& start, timestamp time) const {
  auto earliest = start.at + turn.lease;
  for (const auto& renewal : turn.renewals)
    earliest = renewal.is_certain ? renewal.until : std::min(earliest, renewal.until);
  return time >= earliest;
}

void reference_session::check_end(const asked_turn& turn, const line& start, const line& end, turn_status how) const {
  const auto name =
      "turn " + std::to_string(parse_status(end.data).number) + " ended as " + std::string(to_string(how)) + ", which ";
  switch (how) {
  case turn_status::completed:
  case turn_status::failed:
    return must(turn.ends.contains(how), name + "nobody has asked for");
  case turn_status::cancelled:
    return must(turn.ends.contains(how) || !statuses_asked.empty(), name + "nobody has asked for");
  case turn_status::interrupted:
    return must(policies_asked.contains(turn_policy::interrupt), name + "no policy wanted");
  case turn_status::rolled_back:
    return must(policies_asked.contains(turn_policy::rollback), name + "no policy wanted");
  case turn_status::lost:
    return must(may_be_lost_at(turn, start, end.at), name + "came before its lease was over");
  default:
    return must(false, name + "is no end");
  }
}

void reference_session::check_turns(const lines& own, const stored_row& row) const {
  std::map<turn_id, turn_status> ended;
  const line* start = nullptr;
  std::int64_t number = 0, counted = 0, tokens = 0;
  std::string session_is = "active";
  for (const auto& entry : own) {
    const auto at = " at " + shown(entry.offset, entry.data);
    if (!is_of_turn(entry)) {
      must(entry.turn.is_nil() || (start && entry.turn == start->turn), "written outside of its turn," + at);
      if (entry.kind == "status")
        session_is = parse_status(entry.data).status;
      continue;
    }
    const auto status = parse_status(entry.data);
    const auto how = parse_turn_status(status.status).value_or(turn_status::queued);
    if (how == turn_status::running) {
      must(!start, "two turns run at once," + at);
      must(status.number == ++number && entry.turn == status.turn, "a turn is out of order," + at);
      must(!writes_[find_turn(status.turn).start].is_refused(), "a turn that was refused began," + at);
      start = &entry;
      continue;
    }
    must(start && start->turn == status.turn && status.number == number, "a turn ends that does not run," + at);
    const auto& turn = find_turn(status.turn);
    check_end(turn, *start, entry, how);
    must(ended.emplace(turn.id, how).second, "a turn ends twice," + at);
    const auto stored = row.turns.find(number);
    must(stored != row.turns.end() && stored->second == std::pair(turn.id, how), "the turn's row says otherwise," + at);
    if (how == turn_status::completed || how == turn_status::failed) {
      ++counted;
      tokens += turn.tokens;
    }
    start = nullptr;
  }
  must(!start, "a turn still runs, long after its lease");
  must(row.turns.size() == static_cast<std::size_t>(number), "there are rows of turns that never began");
  must(row.turn_count == counted,
       "turn_count is " + std::to_string(row.turn_count) + ", not " + std::to_string(counted));
  must(row.total_tokens == tokens,
       "total_tokens is " + std::to_string(row.total_tokens) + ", not " + std::to_string(tokens));
  must(row.status == session_is, "the session's row says " + row.status + ", its log " + session_is);
  for (const auto& turn : turns) {
    const auto end = ended.find(turn.id);
    must(!turn.is_granted || end != ended.end() || writes_[turn.start].may_be_lost(), "a granted turn never began");
    must(!turn.left_queue || end == ended.end() || writes_[turn.start].asked > 1, "a turn that left the queue began");
    if (!turn.ended)
      continue;
    const auto& answered = writes_[turn.ends.at(*turn.ended)];
    must((end != ended.end() && end->second == *turn.ended) || answered.may_be_lost(),
         "a turn has not ended as it was answered: " + std::string(to_string(*turn.ended)));
  }
}

// --- readers ---------------------------------------------------------------------------------------------------------

void reading::take(const line& next) {
  must(next.offset > through && (seen.empty() || next.offset > seen.back().offset),
       "told twice or out of order: " + shown(next.offset, next.data));
  seen.push_back(next);
}

void reading::check(const lines& all, const std::set<turn_id>& hidden, const std::string& who) const {
  std::size_t at = 0;
  for (const auto& entry : all) {
    if (entry.offset <= after || entry.offset > through)
      continue;
    const bool is_seen = at < seen.size() && seen[at].offset == entry.offset;
    must(is_seen || hidden.contains(entry.turn), who + " was not told of " + shown(entry.offset, entry.data));
    if (!is_seen)
      continue;
    must(seen[at] == entry,
         who + " was told of something else at " + shown(entry.offset, entry.data) + ": " + seen[at].data);
    ++at;
  }
  must(at == seen.size(), who + " was told of what is not there: " +
                              (at < seen.size() ? shown(seen[at].offset, seen[at].data) : std::string()));
}

} // namespace colloquy::model
