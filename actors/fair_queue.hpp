// Those who wait for something scarce: first come first served within a tenant, weighted-fair between tenants.
//
// Start-time fair queueing (Goyal, Vin, Cheng 1996): each tenant has a virtual time that advances by 1/weight for each
// item served, the least is served next, and a tenant that comes anew begins at the time of now, so that neither a
// storm of one tenant nor a long silence of another counts. With equal weights a newcomer waits for at most one item of
// each other tenant. Bounded in all and for each tenant. Not thread-safe. Every operation is O(log n) in those who
// wait, but pop() passes over the tenants that may not have more.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::actors {

template <class Item, class Time>
class fair_queue {
public:
  using ticket = std::uint64_t; ///< 0: refused

  fair_queue(std::size_t waiting_max, std::size_t waiting_per_tenant_max)
    : waiting_max_(waiting_max)
    , per_tenant_max_(waiting_per_tenant_max) {}

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t tenants() const noexcept { return turns_.size(); }
  bool is_full() const noexcept { return entries_.size() >= waiting_max_; }
  std::size_t waiting_of(const std::string& tenant) const {
    auto found = lines_.find(tenant);
    return found == lines_.end() ? 0 : found->second.tickets.size();
  }

  /// Above 0. Counts from the tenant's next turn on.
  void set_weight(const std::string& tenant, double weight) {
    if (weight == 1.0)
      weights_.erase(tenant);
    else
      weights_.insert_or_assign(tenant, weight);
  }
  /// Tenants whose weight is not 1.
  std::size_t weights() const noexcept { return weights_.size(); }

  /// 0, and the item is left as it was, if the queue or the tenant's share of it is full. `owner` is for erase_owner().
  ticket push(const std::string& tenant, std::uint64_t owner, Time deadline, Item& item) {
    if (is_full() || waiting_of(tenant) >= per_tenant_max_)
      return 0;
    auto& waiting = lines_.try_emplace(tenant).first->second;
    const auto number = ++last_ticket_;
    if (waiting.tickets.empty()) {
      resting_.erase({waiting.virtual_time, tenant});
      waiting.virtual_time = std::max(waiting.virtual_time, now_);
      turns_.insert({waiting.virtual_time, number, tenant});
      waiting.turn = number;
    }
    waiting.tickets.push_back(number);
    auto due = deadlines_.emplace(deadline, number);
    owners_.insert({owner, number});
    entries_.emplace(number, entry{std::move(item), tenant, owner, std::prev(waiting.tickets.end()), due});
    return number;
  }

  /// Whether pop() would find one.
  template <class MayHave>
  bool has_one_for(MayHave may_have) const {
    return std::any_of(turns_.begin(), turns_.end(), [&](const auto& turn) { return may_have(std::get<2>(turn)); });
  }

  /// The next in turn whose tenant may have one more.
  template <class MayHave>
  std::optional<Item> pop(MayHave may_have) {
    for (const auto& [time, turn, tenant] : turns_)
      if (may_have(tenant)) {
        now_ = std::max(now_, time);
        auto& waiting = lines_.find(tenant)->second;
        const auto number = waiting.tickets.front();
        auto served = take_out(number, weight_of(tenant));
        forget_rested();
        return served;
      }
    return std::nullopt;
  }

  /// For one that has given up. Nothing if it has gone.
  std::optional<Item> erase(ticket number) {
    if (!entries_.contains(number))
      return std::nullopt;
    return take_out(number, std::nullopt);
  }

  /// All of one owner, who is gone. How many.
  std::size_t erase_owner(std::uint64_t owner) {
    std::size_t erased = 0;
    for (auto at = owners_.lower_bound({owner, 0}); at != owners_.end() && at->first == owner;
         at = owners_.lower_bound({owner, 0}), ++erased)
      take_out(at->second, std::nullopt);
    forget_rested();
    return erased;
  }

  /// Those whose deadline has come, the earliest first.
  std::vector<Item> take_expired(Time now) {
    std::vector<Item> expired;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now)
      expired.push_back(take_out(deadlines_.begin()->second, std::nullopt));
    forget_rested();
    return expired;
  }

  /// All, in no order that means anything.
  std::vector<Item> take_all() {
    std::vector<Item> all;
    while (!entries_.empty())
      all.push_back(take_out(entries_.begin()->first, std::nullopt));
    forget_rested();
    return all;
  }

private:
  using deadline_map = std::multimap<Time, ticket>;
  struct entry {
    Item item;
    std::string tenant;
    std::uint64_t owner;
    typename std::list<ticket>::iterator place;
    typename deadline_map::iterator due;
  };
  struct line {
    std::list<ticket> tickets;
    double virtual_time = 0; // when its next turn begins
    ticket turn = 0;         // tells equal times apart: who came first
  };

  double weight_of(const std::string& tenant) const {
    auto found = weights_.find(tenant);
    return found == weights_.end() ? 1.0 : found->second;
  }

  /// `weight`: it is served; none: it has only left.
  Item take_out(ticket number, std::optional<double> weight) {
    auto found = entries_.find(number);
    auto& waiting = lines_.find(found->second.tenant)->second;
    const auto tenant = std::move(found->second.tenant);
    turns_.erase({waiting.virtual_time, waiting.turn, tenant});
    waiting.tickets.erase(found->second.place);
    deadlines_.erase(found->second.due);
    owners_.erase({found->second.owner, number});
    if (weight) {
      waiting.virtual_time += 1.0 / *weight;
      waiting.turn = ++last_ticket_;
    }
    if (waiting.tickets.empty())
      resting_.insert({waiting.virtual_time, tenant});
    else
      turns_.insert({waiting.virtual_time, waiting.turn, tenant});
    auto item = std::move(found->second.item);
    entries_.erase(found);
    return item;
  }

  /// A tenant that nobody waits for is remembered only while it is ahead of its share.
  void forget_rested() {
    while (!resting_.empty() && resting_.begin()->first <= now_) {
      lines_.erase(resting_.begin()->second);
      resting_.erase(resting_.begin());
    }
  }

  const std::size_t waiting_max_;
  const std::size_t per_tenant_max_;
  ticket last_ticket_ = 0;
  double now_ = 0; // virtual: when the last item that was served began
  std::unordered_map<ticket, entry> entries_;
  std::unordered_map<std::string, line> lines_;
  std::set<std::tuple<double, ticket, std::string>> turns_; // of lines in which somebody waits
  std::set<std::pair<double, std::string>> resting_;        // of lines in which nobody does
  deadline_map deadlines_;
  std::set<std::pair<std::uint64_t, ticket>> owners_;
  std::unordered_map<std::string, double> weights_;
};

} // namespace colloquy::actors
