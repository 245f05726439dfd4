#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A pattern that RE2 has compiled. It may be matched from any thread.
typedef struct martlet_pattern martlet_pattern;

/// Compiles a pattern in RE2's syntax, UTF-8, within so many bytes for its program and its automaton.
/// Returns NULL when RE2 refuses it, with the reason in `message` (cut to `capacity`, ends with NUL).
martlet_pattern *martlet_pattern_new(
    const char *text, size_t length, int64_t memory, char *message, size_t capacity);

void martlet_pattern_free(martlet_pattern *pattern);

/// The number of instructions of its program: what a byte of text may cost at worst.
int martlet_pattern_size(const martlet_pattern *pattern);

/// Whether it matches anywhere in the text.
int martlet_pattern_matches(const martlet_pattern *pattern, const char *text, size_t length);

#ifdef __cplusplus
}
#endif
