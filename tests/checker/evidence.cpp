#include "tests/checker/evidence.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace colloquy::checker {
namespace {

// What a caller may have to live with while servers die; whatever else it is told is wrong.
const std::set<std::string, std::less<>> fair_refusals{"turn_in_progress",     "turn_lost", "overloaded",
                                                       "database_unavailable", "not_owner", "deadline_exceeded"};

std::vector<said_event> events_of(const line& said) {
  std::vector<said_event> events;
  auto offset = said.number("offset");
  for (auto& digest : split(said["digests"], ',')) {
    events.push_back({said["session"], offset, std::move(digest)});
    if (offset >= 0)
      ++offset;
  }
  return events;
}

/// The two open ranges, one behind the other, without those for which it is true; they go to `taken`.
template <class Answers, class Condition>
Answers take_if(Answers& from, Condition condition) {
  const auto first =
      std::stable_partition(from.begin(), from.end(), [&](const auto& each) { return !condition(each); });
  Answers taken(std::make_move_iterator(first), std::make_move_iterator(from.end()));
  from.erase(first, from.end());
  return taken;
}

template <class Item>
void append_to(std::vector<Item>& to, std::vector<Item>&& more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string moved(const std::string& tag, std::int64_t from, std::int64_t to) {
  return "append " + tag + " was promised at offset " + std::to_string(from) + " and then answered with " +
         std::to_string(to);
}

} // namespace

void evidence::add(evidence&& later) {
  append_to(events, std::move(later.events));
  append_to(turns, std::move(later.turns));
  append_to(sessions, std::move(later.sessions));
  append_to(faults, std::move(later.faults));
  durable += later.durable;
  accepted += later.accepted;
  for (const auto& [code, count] : later.refusals)
    refusals[code] += count;
  for (auto& [tag, append] : later.appends) {
    auto& known = appends[tag];
    if (known.is_promised && append.offset >= 0 && append.offset != known.offset)
      faults.push_back(moved(tag, known.offset, append.offset));
    if (!known.is_promised)
      known = std::move(append);
  }
}

void run_evidence::take(const line& said) {
  if (said.kind == "made" || said.kind == "forked") {
    ++out_.durable;
    out_.sessions.push_back({said["session"], said["parent"], said.number("offset")});
  } else if (said.kind == "asking") {
    out_.appends[said["tag"]] = {said["session"], said.number("count")};
  } else if (said.kind == "appended") {
    take_append(said);
  } else if (said.kind == "started") {
    take_answer(said, {events_of(said), {{said["session"], said["turn"], "running"}}, "", said["caller"]});
  } else if (said.kind == "ended") {
    said_turn turn{said["session"], said["turn"], said["status"], said.number("input"), said.number("output")};
    take_answer(said, {events_of(said), {std::move(turn)}, "", said["caller"]});
  } else if (said.kind == "refused") {
    take_refusal(said);
  } else if (said.kind == "fault") {
    out_.faults.push_back(to_text(said));
  }
}

void run_evidence::take_append(const line& said) {
  const bool has_key = !said["key"].empty();
  if (has_key)
    note_offset(said);
  take_answer(said, {events_of(said), {}, has_key ? said["tag"] : "", said["caller"]});
}

/// A repeat within a run is answered as the first was, durable or not: nothing has died meanwhile but the server.
void run_evidence::note_offset(const line& said) {
  auto& append = out_.appends[said["tag"]];
  append.session = said["session"];
  append.count = said.number("count");
  if (append.offset >= 0 && append.offset != said.number("offset"))
    out_.faults.push_back(moved(said["tag"], append.offset, said.number("offset")));
  append.offset = said.number("offset");
}

void run_evidence::take_answer(const line& said, open_answer answer) {
  auto& session = sessions_[said["session"]];
  const bool is_durable = said["durability"] == "durable";
  ++(is_durable ? out_.durable : out_.accepted);
  if (is_durable)
    session.durable_offset = std::max(session.durable_offset, said.number("offset") + said.number("count") - 1);
  session.open.push_back(std::move(answer));
  if (is_durable)
    promise_of_caller(said);
}

void run_evidence::promise_of_caller(const line& said) {
  for (auto& each : take_if(sessions_[said["session"]].open,
                            [&](const open_answer& answer) { return answer.caller == said["caller"]; }))
    promise(std::move(each));
}

void run_evidence::promise_below(of_session& session) {
  const auto is_below = [&](const open_answer& answer) {
    return !answer.events.empty() && answer.events.front().offset >= 0 &&
           answer.events.back().offset <= session.durable_offset;
  };
  for (auto& each : take_if(session.open, is_below))
    promise(std::move(each));
}

void run_evidence::promise(open_answer&& kept) {
  if (!kept.tag.empty())
    out_.appends[kept.tag].is_promised = true;
  append_to(out_.events, std::move(kept.events));
  append_to(out_.turns, std::move(kept.turns));
}

void run_evidence::take_refusal(const line& said) {
  const auto& code = said["code"];
  ++out_.refusals[code];
  if (code == "not_owner")
    take_back();
  const bool is_end = said["stopping"] == "yes" && code == "no_answer"; // the directory is gone
  if (!is_end && !fair_refusals.contains(code))
    out_.faults.push_back(to_text(said));
}

void run_evidence::take_back() {
  for (auto& [name, session] : sessions_)
    promise_below(session);
  sessions_.clear();
  for (auto& [tag, append] : out_.appends)
    if (!append.is_promised)
      append.offset = -1;
}

evidence run_evidence::finish(bool keeps_all) {
  for (auto& [name, session] : sessions_) {
    promise_below(session);
    if (keeps_all)
      for (auto& each : session.open)
        promise(std::move(each));
  }
  sessions_.clear();
  return std::move(out_);
}

} // namespace colloquy::checker
