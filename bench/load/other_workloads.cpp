#include "bench/load/other_workloads.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace colloquy::load {
namespace {

constexpr std::size_t documents_at_once = 1000;
constexpr std::size_t document_filler = 100;

} // namespace

void fanout_workload::prepare(prepared then) {
  talk_.make(0, [this, then = std::move(then)](std::optional<error> failure) mutable {
    if (failure)
      return then(std::move(failure));
    listen_next(0, std::move(then));
  });
}

void fanout_workload::listen_next(std::size_t session, prepared then) {
  if (session == talk_.size())
    return then(std::nullopt);
  client_.listen(
      talk_.key(session), subscribers_, [this, session](event_offset offset) { on_heard(session, offset); },
      [this, session, then = std::move(then)](result<listeners_ready>& ready) mutable {
        if (!ready)
          return then(ready.failure());
        free_.push_back(session);
        listen_next(session + 1, std::move(then));
      });
}

void fanout_workload::perform(finished then) {
  const auto session = free_.front();
  free_.pop_front();
  heard_[session] = {std::move(then), false, false};
  const auto first = talk_.last_number(session);
  client_.ask(talk_.next_append(session, 1, durability::durable), [this, session, first](result<appended>& given) {
    auto& state = heard_[session];
    if (!given) {
      if (!state.then)
        return;
      const auto tell = std::exchange(state.then, {});
      free_.push_back(session);
      return tell(&given.failure(), 0);
    }
    talk_.note(session, first, *given);
    state.is_answered = true;
    end_one(session);
  });
}

void fanout_workload::on_heard(std::size_t session, event_offset offset) {
  auto& state = heard_[session];
  if (offset < 0 && state.then) {
    const auto tell = std::exchange(state.then, {});
    const error ended{error_code::internal, "a subscription has ended"};
    return tell(&ended, 0);
  }
  state.is_heard = true;
  end_one(session);
}

void fanout_workload::end_one(std::size_t session) {
  auto& state = heard_[session];
  if (!state.is_heard || !state.is_answered || !state.then)
    return;
  const auto tell = std::exchange(state.then, {});
  free_.push_back(session);
  tell(nullptr, 0);
}

void lease_workload::perform(finished then) {
  client_.lease(client_.tenant(at_++ % std::min(tenants_, client_.tenants())),
                [then = std::move(then)](result<lease_taken>& given) { then(given ? nullptr : &given.failure(), 0); });
}

documents_workload::documents_workload(load_client& client, std::size_t documents, std::size_t tenants,
                                       std::uint64_t seed)
  : client_(client)
  , first_(documents)
  , next_(documents)
  , random_(seed)
  , collection_("bench-" + session_id::make().to_string()) {
  for (std::size_t i = 0; i < std::min(tenants, client.tenants()); ++i)
    tenants_.push_back(client.tenant(i));
}

std::string documents_workload::document(std::size_t number) const {
  const auto text = std::to_string(number);
  return R"({"id":"d)" + text + R"(","version":"1","creation_utc":null,"number":"n)" + text + R"(","text":")" +
         std::string(document_filler, 'x') + R"("})";
}

document_filter documents_workload::where_number(std::size_t number) const {
  document_filter where;
  where.kind = document_filter::what::test;
  where.test.field = "id";
  where.test.operands.push_back({literal_kind::string, "d" + std::to_string(number)});
  return where;
}

void documents_workload::prepare(prepared then) {
  insert_next(0, std::move(then));
}

/// A step is up to a thousand documents of one tenant; tenants take turns.
void documents_workload::insert_next(std::size_t step, prepared then) {
  const auto count = tenants_.size();
  auto number = step / count * documents_at_once * count + step % count;
  if (number >= first_ && step % count == 0)
    return then(std::nullopt);
  if (number >= first_)
    return insert_next(step + 1, std::move(then));
  insert_documents request;
  request.tenant = tenants_[step % count];
  request.collection = collection_;
  for (; number < first_ && request.documents.size() < documents_at_once; number += count)
    request.documents.push_back(document(number));
  client_.ask(std::move(request), [this, step, then = std::move(then)](result<documents_inserted>& done) mutable {
    if (!done)
      return then(done.failure());
    insert_next(step + 1, std::move(then));
  });
}

void documents_workload::perform(finished then) {
  const auto which = random_() % 10;
  const auto number = random_() % first_;
  if (which == 0) {
    const auto own = next_++;
    insert_documents request;
    request.tenant = tenant_of(own);
    request.collection = collection_;
    request.documents.push_back(document(own));
    return client_.ask(std::move(request), [this, own, then = std::move(then)](result<documents_inserted>& done) {
      if (done)
        inserted_.push_back(own);
      then(done ? nullptr : &done.failure(), 2);
    });
  }
  const auto tell_missing = [number](const finished& whom, std::size_t part) {
    const error missing{error_code::internal, "document d" + std::to_string(number) + " is not found"};
    whom(&missing, part);
  };
  if (which == 1) {
    update_document request;
    request.tenant = tenant_of(number);
    request.collection = collection_;
    request.where = where_number(number);
    request.set = R"({"state":"s)" + std::to_string(random_() % 1000) + R"("})";
    return client_.ask(std::move(request), [tell_missing, then = std::move(then)](result<document_updated>& done) {
      if (done && done->matched != 1)
        return tell_missing(then, 1);
      then(done ? nullptr : &done.failure(), 1);
    });
  }
  find_document request;
  request.tenant = tenant_of(number);
  request.collection = collection_;
  request.where = where_number(number);
  client_.ask(std::move(request), [tell_missing, then = std::move(then)](result<found_document>& found) {
    if (found && !found->document)
      return tell_missing(then, 0);
    then(found ? nullptr : &found.failure(), 0);
  });
}

void documents_workload::verify(std::function<void(result<std::size_t>)> then) {
  verify_next(0, std::move(then));
}

void documents_workload::verify_next(std::size_t from, std::function<void(result<std::size_t>)> then) {
  if (from == inserted_.size())
    return then(from);
  const auto number = inserted_[from];
  find_document request;
  request.tenant = tenant_of(number);
  request.collection = collection_;
  request.where = where_number(number);
  client_.ask(std::move(request), [this, from, number, then = std::move(then)](result<found_document>& found) mutable {
    if (!found)
      return then(found.failure());
    if (!found->document)
      return then(
          error{error_code::internal, "document d" + std::to_string(number) + " was inserted and is not there"});
    verify_next(from + 1, std::move(then));
  });
}

} // namespace colloquy::load
