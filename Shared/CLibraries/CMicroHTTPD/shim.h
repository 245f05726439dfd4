#pragma once
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>

// MHD_start_daemon and MHD_get_daemon_info are variadic, which Swift cannot call.
static inline struct MHD_Daemon *martlet_mhd_start(
    unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback accept_policy, void *accept_context,
    MHD_AccessHandlerCallback handler, void *handler_context, const struct MHD_OptionItem *options) {
  return MHD_start_daemon(flags, port, accept_policy, accept_context, handler, handler_context,
                          MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static inline const union MHD_DaemonInfo *martlet_mhd_info(
    struct MHD_Daemon *daemon, enum MHD_DaemonInfoType what) {
  return MHD_get_daemon_info(daemon, what);
}
