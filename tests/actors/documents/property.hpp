// One collection in a real PostgreSQL and the same in the reference: random requests to both, whose answers must be
// the same.
#pragma once

#include "messages/documents_interface.hpp"
#include "tests/actors/documents/chance.hpp"
#include "tests/support/documents_reference.hpp"
#include "tests/support/test_service.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

namespace colloquy::chance {

struct difference : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class property {
public:
  /// A collection of its own, with documents in it.
  property(test::test_service& service, std::uint64_t seed);

  /// One request. Throws difference.
  void run_case();
  /// At the end all documents must be the same.
  void compare_all();

  /// How many cases of each kind there were, and how many that found something.
  static const std::map<std::string, std::int64_t>& counts() { return counted; }

private:
  void find();
  void find_from_place();
  void find_one();
  void insert();
  void update(bool is_upsert);
  void erase();

  template <class Request>
  Request about(const reference::value& filter);
  template <class Request>
  result<typename Request::reply> ask(Request request);
  std::vector<std::string> ids() const;
  /// Whether these are the documents, in this order.
  void expect(const std::string& what, const std::vector<std::string>& got,
              const std::vector<reference::value>& wanted);
  void expect(const std::string& what, bool is_so);
  void expect_failure(const std::string& what, const error& failure, error_code wanted);
  void count(const std::string& what, bool found);

  test::test_service& service_;
  source chance_;
  std::string name_;
  reference::collection model_;
  std::string request_; ///< what is asked now, to be told with a difference

  static std::map<std::string, std::int64_t> counted;
};

} // namespace colloquy::chance
