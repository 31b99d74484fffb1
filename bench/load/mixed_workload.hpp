// Conversations as real ones are long and shaped: each is played request by request, as its transcript says, in a
// session of its own; when it is over, the next one begins.
#pragma once

#include "bench/load/load_workload.hpp"
#include "cli/transcript.hpp"

#include <deque>
#include <memory>
#include <vector>

namespace colloquy::load {

using transcript_list = std::vector<std::shared_ptr<const cli::conversation>>;

/// As many as fit the bench's memory, in order. Throws bench_failure: a line that is none, or no conversation at all.
transcript_list read_transcripts(const std::vector<std::filesystem::path>& files);

class mixed_workload : public load_workload {
public:
  /// So many conversations go on at once.
  mixed_workload(load_client& client, const transcript_list& transcripts, std::size_t conversations,
                 std::size_t tenants);

  std::vector<std::string> parts() const override;
  void perform(finished then) override;
  bool is_exhausted() const override { return free_.empty(); }
  void verify(std::function<void(result<std::size_t>)> then) override;

private:
  /// A conversation in its session, under way or over.
  struct played {
    std::shared_ptr<const cli::conversation> text;
    session_key session{};
    turn_id turn{};
    bool is_made = false;
    std::size_t step = 0; ///< the next one
    std::size_t said = 0; ///< messages that were answered
  };

  void begin_session(std::size_t number, finished then);
  void send_step(std::size_t number, finished then);
  template <class Request, class Reply>
  void send(std::size_t number, Request request, std::size_t part, finished then,
            std::function<void(played&, Reply&)> note);
  void go_on(std::size_t number);
  void begin_another();
  void verify_next(std::size_t number, std::size_t events, std::function<void(result<std::size_t>)> then);
  void verify_page(std::size_t number, event_offset after, std::size_t at, std::size_t events,
                   std::function<void(result<std::size_t>)> then);

  load_client& client_;
  const transcript_list& transcripts_;
  const std::size_t tenants_;
  std::vector<played> played_;
  std::deque<std::size_t> free_; ///< numbers of those that have no request under way and are not over
};

} // namespace colloquy::load
