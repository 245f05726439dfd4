#pragma once
#include <sys/eventfd.h>
#include <sys/prctl.h>

// prctl is variadic; whether Glibc's module has eventfd depends on the build mode.
static inline void martlet_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline int martlet_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
