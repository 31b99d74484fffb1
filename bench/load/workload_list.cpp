#include "bench/load/workload_list.hpp"

#include "bench/bench_failure.hpp"
#include "bench/load/conversation_set.hpp"
#include "bench/load/log_workloads.hpp"
#include "bench/load/mixed_workload.hpp"
#include "bench/load/other_workloads.hpp"

namespace colloquy::load {

std::vector<wanted_measurement> list_measurements(const cli::bench_arguments& arguments) {
  std::vector<wanted_measurement> found;
  for (const auto& workload : arguments.workloads)
    for (const auto sessions : arguments.sessions) {
      if (workload != "append") {
        found.push_back({workload, "", sessions});
        continue;
      }
      if (arguments.measures_accepted)
        found.push_back({workload, "accepted", sessions});
      if (arguments.measures_durable)
        found.push_back({workload, "durable", sessions});
    }
  return found;
}

struct workload_list::parts {
  transcript_list transcripts;
  std::string talk_of; ///< workload and number of sessions that `talk` was made for
  std::unique_ptr<conversation_set> talk;
  std::unique_ptr<load_workload> work;
};

workload_list::workload_list(const cli::bench_arguments& arguments)
  : arguments_(arguments)
  , parts_(std::make_unique<parts>()) {
  if (!arguments.transcripts.empty())
    parts_->transcripts = read_transcripts(arguments.transcripts);
}

workload_list::~workload_list() = default;

load_workload& workload_list::make(const wanted_measurement& wanted, load_client& client) {
  auto& [transcripts, talk_of, talk, work] = *parts_;
  work.reset();
  if (auto of = wanted.workload + " " + std::to_string(wanted.sessions); of != talk_of || !talk) {
    talk_of = std::move(of);
    talk = std::make_unique<conversation_set>(client, wanted.sessions, arguments_.tenants, arguments_.message_bytes);
  }
  session_choice choice(wanted.sessions, arguments_.skew, arguments_.seed);
  if (wanted.workload == "append")
    work = std::make_unique<append_workload>(client, *talk, std::move(choice),
                                             wanted.variant == "durable" ? durability::durable : durability::accepted);
  else if (wanted.workload == "turn")
    work = std::make_unique<turn_workload>(client, *talk, std::move(choice));
  else if (wanted.workload == "history")
    work = std::make_unique<history_workload>(client, *talk, std::move(choice));
  else if (wanted.workload == "wake")
    work = std::make_unique<wake_workload>(client, *talk, arguments_.seed);
  else if (wanted.workload == "mixed")
    work = std::make_unique<mixed_workload>(client, transcripts, wanted.sessions, arguments_.tenants);
  else if (wanted.workload == "fanout")
    work = std::make_unique<fanout_workload>(client, *talk, arguments_.subscribers);
  else if (wanted.workload == "lease")
    work = std::make_unique<lease_workload>(client, arguments_.tenants);
  else if (wanted.workload == "documents")
    work = std::make_unique<documents_workload>(client, wanted.sessions, arguments_.tenants, arguments_.seed);
  else
    throw bench::bench_failure("there is no workload " + wanted.workload);
  return *work;
}

run_plan plan_for(const wanted_measurement& wanted, const cli::bench_arguments& arguments,
                  std::chrono::milliseconds request_timeout) {
  run_plan plan;
  plan.concurrency = arguments.concurrency;
  if (arguments.rate > 0)
    plan.rate = arguments.rate;
  plan.warm_up = arguments.warm_up;
  plan.duration = arguments.duration;
  plan.operations = arguments.operations;
  plan.silence_max = request_timeout + std::chrono::seconds(5); // the service answers before
  if (wanted.workload == "wake")
    plan.warm_up = {}; // each sleeps once
  return plan;
}

} // namespace colloquy::load
