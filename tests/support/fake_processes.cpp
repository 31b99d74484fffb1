// Processes of the model: their rows, the shards that they own, and their writers' fences. See fake_tables.hpp.
#include "tests/support/fake_tables.hpp"

#include "db/ownership_queries.hpp"

#include <algorithm>

namespace colloquy::test {
namespace {

using db::db_failure;
using db::failure_kind;

const db_failure out_of_chain{failure_kind::fence, "CQ001", "out of the chain"};

} // namespace

std::optional<db_failure> fake_tables::begin_batch(const db::statement_call& call) {
  const auto writer = writers.find(uuid_of(call.parameters[0]));
  const auto seq = db::decode_int8(*call.parameters[3]);
  if (writer == writers.end() || writer->second.epoch != db::decode_int8(*call.parameters[2]) ||
      writer->second.seq + 1 != seq)
    return out_of_chain;
  writer->second.seq = seq;
  return std::nullopt;
}

std::optional<db_failure> fake_tables::claim_writer(const db::statement_call& call, db::rows& answer) {
  const auto process = uuid_of(call.parameters[0]);
  const auto expected = db::decode_int8(*call.parameters[2]);
  if (const auto known = processes.find(process); known != processes.end() && known->second.is_over())
    return out_of_chain;
  if (expected == 0 && writers.contains(process))
    return db_failure{failure_kind::data, "23505", "claimed already"};
  if (expected != 0 && (!writers.contains(process) || writers[process].epoch != expected))
    return out_of_chain;
  auto& writer = writers[process];
  ++writer.epoch;
  answer = make_rows({{db::encode_int8(writer.epoch), db::encode_int8(writer.seq), db::encode_int4(42)}}, 3);
  return std::nullopt;
}

void fake_tables::raise_epochs_of(const uuid_bytes& process) {
  if (const auto writer = writers.find(process); writer != writers.end())
    ++writer->second.epoch;
}

bool fake_tables::apply_ownership(std::string_view name, const db::statement_call& call, db::rows& answer) {
  const auto process = call.parameters.empty() ? uuid_bytes{} : uuid_of(call.parameters[0]);
  if (name == "register_process") {
    processes[process] = {now, false, false, columns(call.parameters.begin() + 1, call.parameters.end())};
  } else if (name == "read_processes") {
    std::vector<columns> others;
    for (const auto& [id, row] : processes)
      if (id != process && !row.is_over())
        others.push_back({db::encode_uuid(id), row.place[0], row.place[1], row.place[2]});
    answer = make_rows(others, 4);
  } else if (name == "renew_process") {
    const auto row = processes.find(process);
    const bool is_live = row != processes.end() && !row->second.is_over();
    if (is_live)
      row->second.renewed = std::max(row->second.renewed, now);
    answer = is_live ? make_rows({{db::encode_int4(1)}}, 1) : make_rows({}, 1);
  } else if (name == "owned_shards") {
    std::vector<columns> owned;
    for (std::size_t i = 0; i < shards.size(); ++i)
      if (shards[i] == process)
        owned.push_back({db::encode_int2(static_cast<std::int16_t>(i))});
    answer = make_rows(owned, 1);
  } else if (name == "begin_takeover") {
    take_free_shards(call);
  } else if (name == "finish_takeover") {
    std::vector<columns> rows;
    for (const auto& [shard, before] : taken_)
      rows.push_back({db::encode_int2(static_cast<std::int16_t>(shard)),
                      before == uuid_bytes{} ? column{} : db::encode_uuid(before)});
    answer = make_rows(rows, 2);
    taken_.clear(); // every transaction copies the tables
  } else if (name == "end_process") {
    end_process(process);
  } else if (name == "release_writers") {
    writers.erase(process);
  } else {
    return false;
  }
  return true;
}

void fake_tables::end_process(const uuid_bytes& process) {
  processes[process].has_ended = true;
  writers.erase(process);
  std::replace(shards.begin(), shards.end(), process, uuid_bytes{});
}

void fake_tables::take_free_shards(const db::statement_call& call) {
  const auto taker = uuid_of(call.parameters[0]);
  taken_.clear();
  const auto row = processes.find(taker);
  if (row == processes.end() || row->second.is_over())
    return;
  const auto dead = elements(call.parameters[1]);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const auto owner = shards[i];
    const auto known = processes.find(owner);
    const bool is_free = known == processes.end() || known->second.is_over() ||
                         now - known->second.renewed > db::ownership_lasts ||
                         std::find(dead.begin(), dead.end(), column(db::encode_uuid(owner))) != dead.end();
    if (owner == taker || !is_free)
      continue;
    taken_[i] = owner;
    shards[i] = taker;
  }
  std::set<uuid_bytes> losers;
  for (const auto& [shard, before] : taken_)
    losers.insert(before);
  for (const auto& loser : losers)
    if (const auto known = processes.find(loser); known != processes.end() && !known->second.is_over()) {
      known->second.is_lost = true;
      raise_epochs_of(loser);
      std::replace(shards.begin(), shards.end(), loser, uuid_bytes{});
    }
}

} // namespace colloquy::test
