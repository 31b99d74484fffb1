#include "bench/documents/find_load.hpp"

#include "bench/bench_failure.hpp"

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace colloquy::bench {
namespace {

struct load_state {
  documents_actor documents;
  std::function<std::optional<find_task>()> next;
  std::size_t under_way = 0;
  std::string problem;
};
using load_pointer = std::shared_ptr<load_state>;

std::string problem_of(const find_task& task, const result<document_page>& answer) {
  if (!answer)
    return answer.failure().message;
  if (answer->documents.size() == task.documents && answer->total_count == task.total_count)
    return "";
  return std::to_string(answer->documents.size()) + " documents of " + std::to_string(answer->total_count) +
         " were found instead of " + std::to_string(task.documents) + " of " + std::to_string(task.total_count);
}

void ask_next(caf::event_based_actor* self, const load_pointer& state) {
  auto task = state->problem.empty() ? state->next() : std::nullopt;
  if (!task) {
    if (state->under_way == 0)
      self->quit();
    return;
  }
  ++state->under_way;
  const auto begun = steady::now();
  const auto done = [self, state](std::string problem) {
    --state->under_way;
    if (state->problem.empty())
      state->problem = std::move(problem);
    ask_next(self, state);
  };
  auto wanted = task->wanted;
  // The pool ends each within the time that the service gives it; CAF's timeouts pass through a locked clock.
  self->request(state->documents, caf::infinite, std::move(wanted))
      .then(
          [begun, done, task = *std::move(task)](const result<document_page>& answer) {
            if (task.times)
              task.times->record(steady::now() - begun);
            done(problem_of(task, answer));
          },
          [done](const caf::error&) { done("what looks after documents ended"); });
}

template <class Request>
typename Request::reply must(sessions_service& service, Request request) {
  auto answer = std::make_shared<result<typename Request::reply>>(error{error_code::internal, "no answer"});
  service.await(service.system().spawn([answer, to = service.documents(), limit = service.settings().request_timeout,
                                        request = std::move(request)](caf::event_based_actor* self) mutable {
    self->request(to, limit, std::move(request))
        .then([answer](result<typename Request::reply>& given) { *answer = std::move(given); },
              [](const caf::error&) {});
  }));
  if (!*answer)
    throw bench_failure("a request was refused: " + answer->failure().message);
  return std::move(*answer).value();
}

} // namespace

void run_finds(sessions_service& service, std::size_t concurrency, std::function<std::optional<find_task>()> next) {
  auto state = std::make_shared<load_state>();
  state->documents = service.documents();
  state->next = std::move(next);
  service.await(service.system().spawn([state, concurrency](caf::event_based_actor* self) {
    for (std::size_t i = 0; i < concurrency; ++i)
      ask_next(self, state);
  }));
  if (!state->problem.empty())
    throw bench_failure(state->problem);
}

document_page find_page(sessions_service& service, find_documents wanted) {
  return must(service, std::move(wanted));
}

void insert_one(sessions_service& service, insert_documents wanted) {
  must(service, std::move(wanted));
}

} // namespace colloquy::bench
