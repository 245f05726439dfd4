#pragma once
#include <libpq-fe.h>
#include <postgres_ext.h>
// Not in the Glibc module; libpq's sockets are waited for with them.
#include <sys/epoll.h>
// Character constants with casts do not import into Swift as they are.
enum {
  CPQ_DIAG_SQLSTATE = PG_DIAG_SQLSTATE,
  CPQ_DIAG_MESSAGE_PRIMARY = PG_DIAG_MESSAGE_PRIMARY,
  CPQ_DIAG_CONSTRAINT_NAME = PG_DIAG_CONSTRAINT_NAME,
  CPQ_DIAG_TABLE_NAME = PG_DIAG_TABLE_NAME,
  CPQ_DIAG_COLUMN_NAME = PG_DIAG_COLUMN_NAME,
};
