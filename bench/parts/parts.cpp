#include "bench/parts/parts.hpp"

#include "bench/bench_failure.hpp"
#include "bench/parts/service_parts.hpp"
#include "bench/workload.hpp"
#include "db/batch.hpp"
#include "db/document_filter_sql.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/replies.hpp"
#include "messages/content.hpp"
#include "messages/document_filter.hpp"

#include <array>
#include <string>
#include <vector>

namespace colloquy::bench {
namespace {

constexpr std::size_t message_bytes = 200;
constexpr std::size_t batch_writes = 100;
constexpr std::size_t page_messages = 20;

workload texts() {
  return workload({}, message_bytes);
}

/// A message's JSON, checked and taken apart.
class message_part : public part {
public:
  void run(std::size_t times, stopwatch& watch) override {
    std::size_t users = 0;
    watch.count([&] {
      for (std::size_t i = 0; i < times; ++i) {
        const auto read = parse_message(text_);
        users += read && read->role == message_role::user ? 1 : 0;
      }
    });
    if (users != times)
      throw bench_failure("a message was not read");
  }

private:
  const std::string text_ = texts().message({1, 2}).data;
};

/// A page of a history, written as a reply.
class page_part : public part {
public:
  page_part() {
    for (std::size_t i = 0; i < page_messages; ++i) {
      event each;
      static_cast<event_input&>(each) = texts().message({1, static_cast<event_offset>(i)});
      each.offset = static_cast<event_offset>(i);
      events_.push_back(std::move(each));
    }
  }

  void run(std::size_t times, stopwatch& watch) override {
    std::size_t bytes = 0;
    watch.count([&] {
      for (std::size_t i = 0; i < times; ++i) {
        std::string reply;
        gateway::json_writer writer(reply);
        writer.open_array();
        for (const auto& each : events_)
          gateway::write_message(writer, each);
        writer.close_array();
        bytes += reply.size();
      }
    });
    if (bytes < times * page_messages * message_bytes)
      throw bench_failure("a page was not written");
  }

private:
  std::vector<event> events_;
};

/// A filter over documents, read and made a condition in SQL.
class filter_part : public part {
public:
  void run(std::size_t times, stopwatch& watch) override {
    std::size_t written = 0;
    const auto tenant = tenant_id::parse("acme").value_or(tenant_id());
    watch.count([&] {
      for (std::size_t i = 0; i < times; ++i) {
        const auto filter = parse_filter(text_);
        if (!filter)
          break;
        db::composed_statement statement(tenant);
        const auto cover = db::find_cover(*filter);
        written += db::to_sql(statement, *filter, "d").empty() ? 0 : 1;
      }
    });
    if (written != times)
      throw bench_failure("a filter was not compiled");
  }

private:
  const std::string text_ =
      R"({"open":{"$eq":true},"$or":[{"owner":{"$eq":"ada"}},{"n":{"$gt":2,"$lt":10}}],"state":{"$in":["a","b"]}})";
};

/// A batch of a hundred sessions with a message each, made statements.
class batch_part : public part {
public:
  batch_part() {
    for (std::size_t i = 0; i < batch_writes; ++i) {
      auto write = std::make_shared<db::session_write>();
      write->session = {tenant_id::parse("tenant-" + std::to_string(i % 10)).value_or(tenant_id()), session_id::make()};
      write->log = log_id::make();
      event entry;
      static_cast<event_input&>(entry) = texts().message({i, 0});
      entry.created_at = system_time();
      entry.messages = 1;
      write->bytes = entry.cost_bytes();
      write->events = std::make_shared<const std::vector<event>>(1, std::move(entry));
      writes_.push_back(std::move(write));
    }
  }

  void run(std::size_t times, stopwatch& watch) override {
    std::size_t encoded = 0;
    const auto process = process_id::make();
    watch.count([&] {
      for (std::size_t i = 0; i < times; ++i)
        encoded += db::encode_batch({process, 0, 1, static_cast<std::int64_t>(i)}, writes_).sessions_result < 0 ? 1 : 0;
    });
    if (encoded != times)
      throw bench_failure("a batch was not encoded");
  }

private:
  std::vector<db::session_write_ptr> writes_;
};

template <class Part>
std::unique_ptr<part> make() {
  return std::make_unique<Part>();
}

constexpr std::array<part_maker, 6> parts{{
    {"message", "a message of 200 bytes read from JSON", &make<message_part>},
    {"page", "20 messages written as a reply", &make<page_part>},
    {"filter", "a filter of five tests read and made SQL", &make<filter_part>},
    {"batch", "100 messages of 100 sessions made a batch's statements", &make<batch_part>},
    {"lookup", "a session found through the directory, of 100", &make_lookup_part},
    {"append", "a message appended: directory, session, writer, and back when durable", &make_append_part},
}};

} // namespace

__attribute__((noinline)) void counted(const std::function<void()>& what) {
  what();
  asm volatile("" ::: "memory"); // no tail call: it is left when the work is done
}

std::span<const part_maker> all_parts() {
  return parts;
}

} // namespace colloquy::bench
