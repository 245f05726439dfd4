#pragma once
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>

// Where the library's log lines go, one by one, formatted: a va_list is nothing for Swift.
struct martlet_mhd_logger {
  void (*write)(void *context, const char *line);
  void *context;
};

static inline void martlet_mhd_log(void *context, const char *format, va_list arguments) {
  const struct martlet_mhd_logger *logger = (const struct martlet_mhd_logger *)context;
  char line[512];
  if (vsnprintf(line, sizeof line, format, arguments) >= 0) logger->write(logger->context, line);
}

// MHD_start_daemon and the MHD_get_…_info are variadic, which Swift cannot call. The logger stands first, or
// messages of the start go to standard error.
static inline struct MHD_Daemon *martlet_mhd_start(
    unsigned int flags, MHD_AccessHandlerCallback handler, void *handler_context,
    struct martlet_mhd_logger *logger, const struct MHD_OptionItem *options) {
  return MHD_start_daemon(flags, 0, NULL, NULL, handler, handler_context,
                          MHD_OPTION_EXTERNAL_LOGGER, &martlet_mhd_log, logger,
                          MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static inline const union MHD_ConnectionInfo *martlet_mhd_connection_info(
    struct MHD_Connection *connection, enum MHD_ConnectionInfoType what) {
  return MHD_get_connection_info(connection, what);
}

// The daemon's epoll, readable when it has something to do; -1 if it has none.
static inline int martlet_mhd_epoll(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info == NULL ? -1 : info->epoll_fd;
}

// How many connections there are, those that have just ended left out.
static inline unsigned int martlet_mhd_connections(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  return info == NULL ? 0 : info->num_connections;
}
