#include "cre2.h"

#include <re2/re2.h>

#include <cstring>
#include <new>

struct martlet_pattern {
  RE2 re2;
  martlet_pattern(const re2::StringPiece &text, const RE2::Options &options) : re2(text, options) {}
};

martlet_pattern *martlet_pattern_new(
    const char *text, size_t length, int64_t memory, char *message, size_t capacity) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(memory);
  auto *pattern = new (std::nothrow) martlet_pattern(re2::StringPiece(text, length), options);
  if (pattern && pattern->re2.ok()) return pattern;
  if (capacity > 0) {
    const char *reason = pattern ? pattern->re2.error().c_str() : "out of memory";
    strncpy(message, reason, capacity - 1);
    message[capacity - 1] = 0;
  }
  delete pattern;
  return nullptr;
}

void martlet_pattern_free(martlet_pattern *pattern) { delete pattern; }

int martlet_pattern_size(const martlet_pattern *pattern) { return pattern->re2.ProgramSize(); }

int martlet_pattern_matches(const martlet_pattern *pattern, const char *text, size_t length) {
  return pattern->re2.Match(re2::StringPiece(text, length), 0, length, RE2::UNANCHORED, nullptr, 0);
}
