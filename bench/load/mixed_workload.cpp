#include "bench/load/mixed_workload.hpp"

#include "bench/bench_failure.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::load {
namespace {

constexpr std::size_t transcript_bytes_max = std::size_t{256} << 20;

enum part : std::size_t { part_session, part_append, part_start, part_append_in_turn, part_end };

/// The same JSON, whoever has written it anew.
bool is_same(const std::string& said, const std::string& found) {
  using json = nlohmann::ordered_json;
  return said == found || json::parse(said, nullptr, false) == json::parse(found, nullptr, false);
}

} // namespace

transcript_list read_transcripts(const std::vector<std::filesystem::path>& files) {
  transcript_list found;
  std::size_t bytes = 0;
  cli::transcript_reader reader(files);
  while (bytes < transcript_bytes_max) {
    auto item = reader.next();
    if (std::holds_alternative<cli::transcript_reader::end>(item))
      break;
    if (const auto* bad = std::get_if<cli::bad_line>(&item))
      throw bench::bench_failure(files[bad->file].string() + ", line " + std::to_string(bad->line) + ": " +
                                 bad->reason);
    auto text = std::get<std::shared_ptr<const cli::conversation>>(std::move(item));
    bytes += text->cost_bytes;
    if (!text->steps.empty())
      found.push_back(std::move(text));
  }
  if (found.empty())
    throw bench::bench_failure("the transcripts have no conversation with a message");
  return found;
}

mixed_workload::mixed_workload(load_client& client, const transcript_list& transcripts, std::size_t conversations,
                               std::size_t tenants)
  : client_(client)
  , transcripts_(transcripts)
  , tenants_(std::min(tenants, client.tenants())) {
  for (std::size_t i = 0; i < conversations; ++i)
    begin_another();
}

std::vector<std::string> mixed_workload::parts() const {
  return {"make session", "append", "start turn", "append in turn", "complete turn"};
}

void mixed_workload::begin_another() {
  free_.push_back(played_.size());
  played_.push_back({transcripts_[played_.size() % transcripts_.size()]});
}

void mixed_workload::perform(finished then) {
  const auto number = free_.front();
  free_.pop_front();
  if (played_[number].is_made)
    send_step(number, std::move(then));
  else
    begin_session(number, std::move(then));
}

template <class Request, class Reply>
void mixed_workload::send(std::size_t number, Request request, std::size_t of_part, finished then,
                          std::function<void(played&, Reply&)> note) {
  client_.ask(std::move(request), [this, number, of_part, then = std::move(then), note](result<Reply>& given) {
    if (given)
      note(played_[number], *given);
    go_on(number); // a request that was refused is sent again
    then(given ? nullptr : &given.failure(), of_part);
  });
}

void mixed_workload::begin_session(std::size_t number, finished then) {
  create_session request;
  request.tenant = client_.tenant(number % tenants_);
  request.user_id = "bench";
  send<create_session, session_record>(number, std::move(request), part_session, std::move(then),
                                       [](played& of, session_record& made) {
                                         of.session = made.key;
                                         of.is_made = true;
                                       });
}

void mixed_workload::send_step(std::size_t number, finished then) {
  auto& of = played_[number];
  const auto& step = of.text->steps[of.step];
  const auto first = of.text->messages.begin() + static_cast<std::ptrdiff_t>(step.first);
  std::vector<event_input> events(first, first + static_cast<std::ptrdiff_t>(step.count));
  const auto count = [said = step.count](played& whose) {
    ++whose.step;
    whose.said += said;
  };
  if (step.kind == cli::step_kind::start_turn) {
    start_turn request;
    request.session = of.session;
    request.events = std::move(events);
    request.lease = limits::lease_max; // an open loop that stalls is not to lose its turns
    return send<start_turn, granted_turn>(number, std::move(request), part_start, std::move(then),
                                          [count](played& whose, granted_turn& granted) {
                                            whose.turn = granted.turn.id;
                                            count(whose);
                                          });
  }
  if (step.kind == cli::step_kind::end_turn) {
    end_turn request;
    request.session = of.session;
    request.turn = of.turn;
    request.usage = token_usage{1000, 200};
    request.events = std::move(events);
    return send<end_turn, turn_record>(number, std::move(request), part_end, std::move(then),
                                       [count](played& whose, turn_record&) { count(whose); });
  }
  append_events request;
  request.session = of.session;
  request.events = std::move(events);
  const bool is_in_turn = step.kind == cli::step_kind::append_in_turn;
  if (is_in_turn)
    request.turn = of.turn;
  send<append_events, appended>(number, std::move(request), is_in_turn ? part_append_in_turn : part_append,
                                std::move(then), [count](played& whose, appended&) { count(whose); });
}

void mixed_workload::go_on(std::size_t number) {
  if (played_[number].step < played_[number].text->steps.size())
    free_.push_back(number);
  else
    begin_another();
}

void mixed_workload::verify(std::function<void(result<std::size_t>)> then) {
  verify_next(0, 0, std::move(then));
}

void mixed_workload::verify_next(std::size_t number, std::size_t events,
                                 std::function<void(result<std::size_t>)> then) {
  while (number < played_.size() && played_[number].said == 0)
    ++number;
  if (number == played_.size())
    return then(events);
  verify_page(number, -1, 0, events, std::move(then));
}

void mixed_workload::verify_page(std::size_t number, event_offset after, std::size_t at, std::size_t events,
                                 std::function<void(result<std::size_t>)> then) {
  read_events request;
  request.session = played_[number].session;
  request.after = after;
  request.limit = limits::page_events_max;
  request.kinds = {event_kind::message};
  request.from_database = true;
  client_.ask(std::move(request), [this, number, at, events, then = std::move(then)](result<event_page>& page) mutable {
    const auto& of = played_[number];
    if (!page)
      return then(page.failure());
    for (const auto& each : page->events) {
      if (at >= of.said || !is_same(of.text->messages[at].data, each.data))
        return then(error{error_code::internal, "read back, conversation " + std::to_string(number) + " offset " +
                                                    std::to_string(each.offset) + ": it is not what was said"});
      ++at;
    }
    if (!page->events.empty())
      return verify_page(number, page->events.back().offset, at, events + page->events.size(), std::move(then));
    if (at != of.said)
      return then(error{error_code::internal, "read back, conversation " + std::to_string(number) + ": " +
                                                  std::to_string(of.said - at) + " messages are missing"});
    verify_next(number + 1, events, std::move(then));
  });
}

} // namespace colloquy::load
