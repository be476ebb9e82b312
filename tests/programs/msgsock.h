/* Message sockets in memory: whole messages from one end to the other, within a process. An end is
 * an fd that poll, select and epoll take next to real sockets:
 *   POLLIN   a message waits
 *   POLLPRI  an urgent one waits: it is the next that msgsock_recv gives
 *   POLLOUT  there is room for a message
 *   POLLHUP  the other end has left; what it sent before can still be received
 * A listener shows POLLIN while somebody waits to be accepted.
 *
 * No call blocks: wait with poll or its like. Level and edge-triggered watches work as those of
 * sockets do; each message, and each connection, is an edge. The calls are thread-safe, but for
 * msgsock_close: as with close(2), nobody else may be using the number then. An end has no life
 * outside its process: do not use it after a fork.
 *
 * Where a call fails it gives -1 and errno: EBADF, EINVAL (no such socket), ENOMEM, and what is
 * said below. All that make sockets fail with EINVAL where the eventfds of the process have no
 * EFD_MASK (see <efdshim/eventfd.h>), and with EMFILE where no fd is left. */
#ifndef MSGSOCK_H
#define MSGSOCK_H

#include <sys/types.h>

enum {
	MSGSOCK_ROOM = 16,   /* messages on their way to one end */
	MSGSOCK_MOST = 1024, /* bytes of a message */
	MSGSOCK_URGENT = 1,  /* a flag: overtakes those that are not */
};

/* Two ends that are connected. */
int msgsock_pair(int fds[2]);

/* An fd that accepts those who connect to the name. EADDRINUSE: there is one. */
int msgsock_listen(const char *name);

/* An end whose other end waits to be accepted. It can be used at once. ECONNREFUSED: nobody
 * listens. */
int msgsock_connect(const char *name);

/* The other end of the longest waiting connection. EAGAIN: none waits. */
int msgsock_accept(int listener);

/* Sends a message of 1 to MSGSOCK_MOST bytes, flags 0 or MSGSOCK_URGENT; gives its size. EAGAIN:
 * no room. EPIPE: the other end has left. EMSGSIZE: too large. */
ssize_t msgsock_send(int fd, const void *message, size_t size, int flags);

/* Receives the next message, urgent ones first; gives its size, and its flags if asked for. 0: the
 * other end has left, and nothing waits. EAGAIN: nothing waits. EMSGSIZE: it is larger than the
 * buffer, and still waits. */
ssize_t msgsock_recv(int fd, void *buffer, size_t size, int *flags);

/* Ends an end, or a listener and the connections that wait for it. Messages to it are lost. */
int msgsock_close(int fd);

#endif
