#include "bench/parts/service_parts.hpp"

#include "bench/bench_failure.hpp"
#include "bench/load/actor_client.hpp"
#include "bench/workload.hpp"
#include "messages/content.hpp"
#include "tests/support/stepped_service.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace colloquy::bench {
namespace {

constexpr std::size_t sessions = 100; // callgrind makes them some fifty times slower
constexpr std::size_t asked_at_once = 100;
constexpr std::size_t message_bytes = 200;

/// Some sessions, and who asks for them.
class service_part : public part {
public:
  service_part() {
    for (std::size_t i = 0; i < sessions; ++i)
      sessions_.push_back(service_.make_session("tenant-" + std::to_string(i % 10)));
    service_.pool.answers_at_once = false;
    asker_ = service_.steps.system().spawn([this](caf::event_based_actor* self) -> caf::behavior {
      self_ = self;
      return {[](const load::to_be_done& wanted) { wanted.what(); }};
    });
    service_.steps.run();
  }
  ~service_part() override {
    caf::anon_send_exit(asker_, caf::exit_reason::kill);
    service_.steps.run();
  }

  void run(std::size_t times, stopwatch& watch) override {
    answered_ = 0;
    for (std::size_t done = 0; done < times; done += asked_at_once)
      run_some(std::min(asked_at_once, times - done), watch);
    if (answered_ != times)
      throw bench_failure(std::to_string(answered_) + " of " + std::to_string(times) + " were answered");
  }

protected:
  virtual void ask(caf::event_based_actor* self, const session_key& session) = 0;

  template <class Request>
  void send(caf::event_based_actor* self, Request request) {
    self->request(service_.directory, caf::infinite, std::move(request))
        .then([this](const result<typename Request::reply>& given) { answered_ += given ? 1 : 0; },
              [](const caf::error&) {});
  }

private:
  void run_some(std::size_t count, stopwatch& watch) {
    watch.count([&] {
      caf::anon_send(asker_, load::to_be_done{[this, count] {
                       for (std::size_t i = 0; i < count; ++i)
                         ask(self_, sessions_[next_++ % sessions_.size()]);
                     }});
      service_.steps.run();
    });
    // The database does its part, which is a model's and is not counted; the answer that it gives is.
    while (service_.pool.answer_next()) {
      service_.steps.step();
      watch.count([&] { service_.steps.run(); });
    }
  }

  test::stepped_service service_;
  std::vector<session_key> sessions_;
  caf::actor asker_;
  caf::event_based_actor* self_ = nullptr;
  std::size_t next_ = 0;
  std::size_t answered_ = 0;
};

class lookup_part : public service_part {
protected:
  void ask(caf::event_based_actor* self, const session_key& session) override {
    get_session request;
    request.session = session;
    send(self, std::move(request));
  }
};

class append_part : public service_part {
protected:
  void ask(caf::event_based_actor* self, const session_key& session) override {
    append_events request;
    request.session = session;
    request.wanted = durability::durable;
    request.events.push_back(parse_message(text_).value());
    send(self, std::move(request));
  }

private:
  const std::string text_ = workload({}, message_bytes).message({1, 2}).data;
};

} // namespace

std::unique_ptr<part> make_lookup_part() {
  return std::make_unique<lookup_part>();
}

std::unique_ptr<part> make_append_part() {
  return std::make_unique<append_part>();
}

} // namespace colloquy::bench
