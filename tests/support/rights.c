#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(RIGHTS_MOST * sizeof(int)) + CMSG_SPACE(64)];
};

static ssize_t by_sendmmsg(int sock, struct msghdr *message, int flags)
{
	if (tk_lacks(SYS_sendmmsg))
		return sendmsg(sock, message, flags);
	struct mmsghdr one = {.msg_hdr = *message};
	int n = sendmmsg(sock, &one, 1, flags);
	return n == 1 ? (ssize_t)one.msg_len : n;
}

static ssize_t by_sys_sendmsg(int sock, struct msghdr *message, int flags)
{
	return syscall(SYS_sendmsg, sock, message, flags);
}

static ssize_t by_sys_sendmmsg(int sock, struct msghdr *message, int flags)
{
	if (tk_lacks(SYS_sendmmsg))
		return syscall(SYS_sendmsg, sock, message, flags);
	struct mmsghdr one = {.msg_hdr = *message};
	long n = syscall(SYS_sendmmsg, sock, &one, 1, flags);
	return n == 1 ? (ssize_t)one.msg_len : n;
}

static ssize_t by_sendmsg(int sock, struct msghdr *message, int flags)
{
	return sendmsg(sock, message, flags);
}

static ssize_t by_recvmmsg(int sock, struct msghdr *message, int flags)
{
	if (tk_lacks(SYS_recvmmsg))
		return recvmsg(sock, message, flags);
	struct mmsghdr one = {.msg_hdr = *message};
	int n = recvmmsg(sock, &one, 1, flags, NULL);
	*message = one.msg_hdr;
	return n == 1 ? (ssize_t)one.msg_len : n;
}

static ssize_t by_sys_recvmsg(int sock, struct msghdr *message, int flags)
{
	return syscall(SYS_recvmsg, sock, message, flags);
}

static ssize_t by_sys_recvmmsg(int sock, struct msghdr *message, int flags)
{
	if (tk_lacks(SYS_recvmmsg))
		return syscall(SYS_recvmsg, sock, message, flags);
	struct mmsghdr one = {.msg_hdr = *message};
	long n = syscall(SYS_recvmmsg, sock, &one, 1, flags, NULL);
	*message = one.msg_hdr;
	return n == 1 ? (ssize_t)one.msg_len : n;
}

const rights_call rights_senders[RIGHTS_WAYS] = {
	by_sendmsg, by_sendmmsg, by_sys_sendmsg, by_sys_sendmmsg};
const rights_call rights_receivers[RIGHTS_WAYS] = {
	recvmsg, by_recvmmsg, by_sys_recvmsg, by_sys_recvmmsg};

ssize_t rights_try_send(
	rights_call call, int sock, const void *data, size_t length, const int *fds, int count)
{
	union control control = {.align.cmsg_len = 0};
	size_t bytes = (size_t)count * sizeof(*fds);
	struct iovec iov = {(void *)data, length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(bytes);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(bytes)};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, bytes);
	}
	ssize_t ret = call(sock, &message, MSG_NOSIGNAL);
	return ret == -1 ? -errno : ret;
}

static void collect(struct msghdr *message, struct rights *r)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t bytes = c->cmsg_len - CMSG_LEN(0);
		memcpy(r->fds + r->count, CMSG_DATA(c), bytes);
		r->count += (int)(bytes / sizeof(int));
	}
}

static ssize_t receive(rights_call call, int sock, int flags, size_t room, struct rights *r)
{
	union control control;
	struct iovec iov = {r->data, sizeof(r->data)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = room};
	r->count = 0;
	ssize_t ret = call(sock, &message, flags);
	if (ret == -1)
		return -errno;
	r->flags = message.msg_flags;
	r->control = message.msg_controllen;
	collect(&message, r);
	return ret;
}

ssize_t rights_try_receive(rights_call call, int sock, int flags, struct rights *r)
{
	return receive(call, sock, flags, sizeof(union control), r);
}

ssize_t rights_try_receive_into(int sock, int flags, size_t room, struct rights *r)
{
	return receive(recvmsg, sock, flags, room, r);
}

void rights_pair(int sock[2], int type)
{
	cr_assert_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sock), 0);
}

void rights_send(int sock, const int *fds, int count)
{
	ssize_t ret = rights_try_send(by_sendmsg, sock, "x", 1, fds, count);
	cr_assert_eq(ret, 1, "sendmsg: %zd", ret);
}

void rights_send_one(int sock, int fd)
{
	rights_send(sock, &fd, 1);
}

int rights_receive_one(int sock, int flags)
{
	struct rights r;
	ssize_t ret = rights_try_receive(recvmsg, sock, flags, &r);
	cr_assert_eq(ret, 1, "recvmsg: %zd", ret);
	cr_assert_eq(r.count, 1, "%d fds instead of one", r.count);
	cr_assert_eq(r.flags & MSG_CTRUNC, 0);
	return r.fds[0];
}
