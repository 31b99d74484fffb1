// Tools that need more from their client, as 2026-07-28 has it: it is told what, and calls again with it and with a
// state of the server's own that must come back unchanged.
#include "gateway/edge.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/secrets.hpp"
#include "tests/mcp/fixture_json.hpp"
#include "tests/mcp/fixture_registry.hpp"

#include <openssl/hmac.h>

namespace colloquy::tests {
namespace {

constexpr std::chrono::minutes state_life{10};

std::string mac_of(const std::string& text) {
  static const auto key = gateway::random_text(43).value_or("");
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &size);
  return gateway::sha256_hex(std::string(out, out + size));
}

/// For this caller, this tool and some minutes alone.
std::string sign(const request& of, json payload) {
  payload["for"] = of.who.tenant.text() + "/" + of.who.name + "/" + of.said.text("name").value_or("");
  payload["until"] = (system_time() + state_life).time_since_epoch().count();
  const auto text = payload.dump();
  return mac_of(text) + text;
}

/// null: it is none of ours, or not for this.
json verify(const request& of) {
  const auto state = of.said.text("requestState").value_or("");
  constexpr std::size_t mac_chars = 64;
  if (state.size() <= mac_chars ||
      !gateway::is_equal_in_constant_time(state.substr(0, mac_chars), mac_of(state.substr(mac_chars))))
    return {};
  auto payload = json::parse(state.substr(mac_chars), nullptr, false);
  const auto whose = of.who.tenant.text() + "/" + of.who.name + "/" + of.said.text("name").value_or("");
  if (!payload.is_object() || payload.value("for", "") != whose ||
      payload.value("until", 0LL) < system_time().time_since_epoch().count())
    return {};
  return payload;
}

answer bad_state() {
  return mcp::refuse(mcp::fault_code::invalid_params, "requestState is not one that this call was given");
}

std::string text_of(const json& response, const char* field) {
  return response.value(json::json_pointer(std::string("/content/") + field), std::string("unknown"));
}

task<answer> by_elicitation(request& of) {
  const auto name = input_response(of, "user_name");
  if (name.is_null())
    co_return input_required({{"user_name", elicitation("What is your name?", "name", "string")}});
  co_return mcp::text_answer("Hello, " + text_of(name, "name") + "!");
}

task<answer> by_sampling(request& of) {
  const auto sample = input_response(of, "sample_request");
  if (sample.is_null())
    co_return input_required({{"sample_request", sampling("What is the capital of France?")}});
  co_return mcp::text_answer("Sampling result: " + text_of(sample, "text"));
}

task<answer> by_roots(request& of) {
  const auto listed = input_response(of, "roots_request");
  if (listed.is_null())
    co_return input_required({{"roots_request", roots()}});
  co_return mcp::text_answer("Found " + std::to_string(listed.value("roots", json::array()).size()) + " root(s)");
}

/// Asks for a confirmation; any state that comes must be one of ours.
task<answer> confirmed(request& of, const char* kind, const char* done) {
  if (of.said.has("requestState")) {
    const auto state = verify(of);
    if (state.is_null())
      co_return bad_state();
    if (state.value("kind", "") == kind && !input_response(of, "confirm").is_null())
      co_return mcp::text_answer(done);
  }
  co_return input_required({{"confirm", elicitation("Please confirm", "ok", "boolean")}}, sign(of, {{"kind", kind}}));
}

task<answer> with_state(request& of) {
  return confirmed(of, "request-state", "state-ok: requestState validated");
}

task<answer> with_sealed_state(request& of) {
  return confirmed(of, "tamper-test", "integrity-ok: state verified");
}

task<answer> by_several(request& of) {
  const auto name = input_response(of, "user_name"), greeting = input_response(of, "greeting"),
             listed = input_response(of, "client_roots");
  if (of.said.has("requestState") && verify(of).is_null())
    co_return bad_state();
  if (!name.is_null() && !greeting.is_null() && !listed.is_null())
    co_return mcp::text_answer("Name: " + text_of(name, "name") + "; Greeting: " + text_of(greeting, "text") +
                               "; Roots: " + std::to_string(listed.value("roots", json::array()).size()));
  co_return input_required({{"user_name", elicitation("What is your name?", "name", "string")},
                            {"greeting", sampling("Generate a greeting")},
                            {"client_roots", roots()}},
                           sign(of, {{"kind", "several"}}));
}

task<answer> in_rounds(request& of) {
  json state;
  if (of.said.has("requestState")) {
    state = verify(of);
    if (state.is_null())
      co_return bad_state();
  }
  const int round = state.is_object() ? state.value("round", 1) : 0;
  const auto first = input_response(of, "step1"), second = input_response(of, "step2");
  if (round == 2 && !second.is_null())
    co_return mcp::text_answer("Multi-round complete for " + state.value("name", "friend") + " who likes " +
                               text_of(second, "color"));
  if (round == 1 && !first.is_null())
    co_return input_required({{"step2", elicitation("Step 2: What is your favorite color?", "color", "string")}},
                             sign(of, {{"round", 2}, {"name", text_of(first, "name")}}));
  co_return input_required({{"step1", elicitation("Step 1: What is your name?", "name", "string")}},
                           sign(of, {{"round", 1}}));
}

task<answer> as_it_can(request& of) {
  const auto all = mcp::members(of.said.raw("inputResponses"));
  if (!all.all().empty())
    co_return mcp::text_answer("capabilities-ok: received " + all.all().front().key);
  json wanted = json::object();
  if (of.has_capability("elicitation"))
    wanted["elicit_input"] = elicitation("Elicitation input", "value", "string");
  if (of.has_capability("sampling"))
    wanted["sample_input"] = sampling("Sample request");
  if (wanted.empty())
    co_return mcp::text_answer("No supported capabilities declared");
  co_return input_required(wanted, sign(of, {{"kind", "capabilities"}}));
}

} // namespace

void add_input_tools(mcp::registry& to) {
  const std::string prefix = "test_input_required_result_";
  add_tool(to, prefix + "elicitation", by_elicitation);
  add_tool(to, prefix + "sampling", by_sampling);
  add_tool(to, prefix + "list_roots", by_roots);
  add_tool(to, prefix + "request_state", with_state);
  add_tool(to, prefix + "multiple_inputs", by_several);
  add_tool(to, prefix + "multi_round", in_rounds);
  add_tool(to, prefix + "tampered_state", with_sealed_state);
  add_tool(to, prefix + "capabilities", as_it_can);
}

} // namespace colloquy::tests
