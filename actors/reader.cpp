#include "actors/reader.hpp"

#include "db/session_queries.hpp"

#include <utility>

namespace colloquy::actors {
namespace {

// Pages are of bounded size only in number of events; this bounds their sum.
constexpr std::size_t reads_under_way_max = 1000;

} // namespace

reader::reader(caf::actor_config& config, supervisor_actor supervisor, std::chrono::milliseconds request_timeout)
  : reader_actor::base(config)
  , supervisor_(std::move(supervisor))
  , request_timeout_(request_timeout) {}

reader::behavior_type reader::make_behavior() {
  return {[this](const read_events& request) { return read(request); }};
}

void reader::on_exit() {
  supervisor_ = nullptr;
}

caf::typed_response_promise<result<event_page>> reader::read(const read_events& wanted) {
  auto answer = make_response_promise<result<event_page>>();
  if (wanted.limit < 1 || wanted.limit > limits::page_events_max) {
    answer.deliver(result<event_page>(
        error{error_code::invalid_request, "limit is " + std::to_string(wanted.limit) + "; 1 to " +
                                               std::to_string(limits::page_events_max) + " is allowed"}));
    return answer;
  }
  if (under_way_ >= reads_under_way_max) {
    answer.deliver(result<event_page>(
        error{error_code::overloaded, "too many reads are under way", std::chrono::milliseconds{20}}));
    return answer;
  }
  ++under_way_;
  run_unit query{db::read_log(wanted.session, wanted.after, wanted.limit)};
  query.tenant = wanted.session.tenant.text();
  query.purpose = "read_log";
  query.deadline = clock().now() + request_timeout_;
  query.idempotent = true;
  request(supervisor_, request_timeout_ + pool_answer_margin, std::move(query))
      .then(
          [this, answer](const db::unit_outcome& outcome) mutable {
            --under_way_;
            auto events = db::decode_log(outcome);
            if (events)
              answer.deliver(result<event_page>(event_page{std::move(events).value()}));
            else
              answer.deliver(result<event_page>(events.failure()));
          },
          [this, answer](const caf::error& failed) mutable {
            --under_way_;
            if (failed == caf::sec::request_timeout)
              answer.deliver(result<event_page>(
                  error{error_code::deadline_exceeded, "the read was not answered within the time allowed"}));
            else // the connection went before it could take the read
              answer.deliver(result<event_page>(
                  error{error_code::database_unavailable, "the connection was lost", std::chrono::milliseconds{100}}));
          });
  return answer;
}

} // namespace colloquy::actors
