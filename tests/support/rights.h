/* File descriptors in messages (SCM_RIGHTS), by every call that sends and receives them. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include <sys/socket.h>
#include <sys/types.h>

enum { RIGHTS_WAYS = 4, RIGHTS_MOST = 253 };

/* sendmsg, sendmmsg, syscall(SYS_sendmsg), syscall(SYS_sendmmsg); the same for receiving. */
typedef ssize_t (*rights_call)(int sock, struct msghdr *message, int flags);
extern const rights_call rights_senders[RIGHTS_WAYS];
extern const rights_call rights_receivers[RIGHTS_WAYS];

/* What arrived. */
struct rights {
	int fds[RIGHTS_MOST];
	int count;
	int flags; /* MSG_CTRUNC, ... */
	size_t control;
	char data[64];
};

/* These assert nothing: -errno, or what the call returned. The data must not be empty. */
ssize_t rights_try_send(
	rights_call call, int sock, const void *data, size_t length, const int *fds, int count);
ssize_t rights_try_receive(rights_call call, int sock, int flags, struct rights *r);
/* With room for `room` bytes of control data. */
ssize_t rights_try_receive_into(int sock, int flags, size_t room, struct rights *r);

/* These assert. */
void rights_pair(int sock[2], int type);
void rights_send(int sock, const int *fds, int count);
void rights_send_one(int sock, int fd);
int rights_receive_one(int sock, int flags);

#endif
