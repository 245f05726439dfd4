#pragma once
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

// prctl is variadic; whether Glibc's module has eventfd depends on the build mode.
static inline void martlet_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
// For threads of ours: signals are the main thread's.
static inline void martlet_block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}
static inline int martlet_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// What epoll tells of one descriptor. The system's own struct is packed, which Swift does not import.
struct martlet_ready {
  uint32_t events;
  uint32_t source;
};

static inline int martlet_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int martlet_epoll_set(int epoll, int operation, int descriptor, uint32_t events, uint32_t source) {
  struct epoll_event event = {.events = events, .data = {.u64 = source}};
  return epoll_ctl(epoll, operation, descriptor, &event);
}

// Declared here as well: some modes of the importer parse <sys/epoll.h> without the GNU part.
int epoll_pwait2(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);

#define MARTLET_EPOLL_MOST 256

// Waits for at most `nanoseconds` (for ever below zero); -1 when a signal came between.
static inline int martlet_epoll_wait(int epoll, struct martlet_ready *ready, int64_t nanoseconds) {
  struct epoll_event events[MARTLET_EPOLL_MOST];
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  int count = epoll_pwait2(epoll, events, MARTLET_EPOLL_MOST, nanoseconds < 0 ? NULL : &limit, NULL);
  for (int i = 0; i < count; i++) {
    ready[i].events = events[i].events;
    ready[i].source = (uint32_t)events[i].data.u64;
  }
  return count;
}

// SIGTERM and SIGINT as something to read, in place of their ending the process. Before any thread is started: threads
// inherit the mask.
static inline int martlet_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0) return -1;
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

// The next signal's number; 0 when there is none.
static inline int martlet_next_signal(int descriptor) {
  struct signalfd_siginfo info;
  return read(descriptor, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}
