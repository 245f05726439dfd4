#pragma once

// libmosquitto's system calls, gathered. See mosquitto_io.c for what is done and why nothing else in the process notices.

/// Puts the functions below in place of those that libmosquitto calls. Once, before its first handle.
/// Returns 0 if that cannot be done here: then everything works, one system call at a time.
int martlet_gather_mosquitto_io(void);

/// From now on, until libmosquitto closes it, this socket of its is read in large pieces, and what is written to it waits
/// for `martlet_send`. For sockets without TLS.
void martlet_gather(int socket);

/// How many bytes have been taken from the socket that libmosquitto has not read yet.
int martlet_received(int socket);

/// Whether something waits to be sent.
int martlet_unsent(int socket);

/// Sends what libmosquitto has written, as far as the socket takes it. Returns 0, or the error that the connection has.
int martlet_send(int socket);
