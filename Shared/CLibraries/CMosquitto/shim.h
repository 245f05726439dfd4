#pragma once
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

// epoll's flags are enumerators and its event is a packed union: plain functions are easier to call from Swift.
static inline int martlet_epoll_set(int epoll, int operation, int fd, uint32_t flags, uint64_t token) {
  struct epoll_event event = {.events = flags, .data = {.u64 = token}};
  return epoll_ctl(epoll, operation, fd, &event);
}
static inline uint64_t martlet_epoll_token(const struct epoll_event *event) { return event->data.u64; }

// ioctl and fcntl are variadic, which Swift cannot call.
static inline int martlet_bytes_waiting(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}
static inline void martlet_close_on_exec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }
static inline void martlet_cork(int fd, int on) {
  setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

// libmosquitto 2.0.11 writes a byte into a socket pair of its own for every packet, to wake its own select loop.
// Nobody reads it in another loop: the pair fills up (213 kB of kernel memory a session, and from then on a
// failing system call a packet). So both ends are pointed at /dev/null. The pair's numbers are the second and
// third int of the handle; that is only read, and only believed when the version is that one, the first int is
// the socket that the library reports, and a byte written to one end comes out of the other.
static inline int martlet_quiet_wakeups(struct mosquitto *handle, int null_fd) {
  int major, minor, revision;
  mosquitto_lib_version(&major, &minor, &revision);
  if (major != 2 || minor != 0 || revision != 11 || null_fd < 0) return 0;
  const int *head = (const int *)(const void *)handle;
  if (head[0] != mosquitto_socket(handle)) return 0;
  int in = head[1], out = head[2];
  if (in < 3 || out < 3 || in == out) return 0;
  int domain = 0;
  socklen_t length = sizeof domain;
  if (getsockopt(out, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_UNIX) return 0;
  char sent = 'm', got = 0;
  if (send(out, &sent, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) return 0;
  if (recv(in, &got, 1, MSG_DONTWAIT) != 1 || got != sent) return 0;
  if (dup2(null_fd, in) != in || dup2(null_fd, out) != out) return 0;
  martlet_close_on_exec(in);
  martlet_close_on_exec(out);
  return 1;
}
