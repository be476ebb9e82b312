/* Eventfds in messages: every call that carries them, how many arrive, with which flags. */
#define _GNU_SOURCE
#include "efd.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

TestSuite(rights, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int sock[2];

static void open_pair(int type)
{
	rights_pair(sock, type);
}

static void close_pair(void)
{
	cr_assert_eq(close(sock[0]), 0);
	cr_assert_eq(close(sock[1]), 0);
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		efd_close(fds[i]);
}

/* The two are one object. */
static void assert_same(int here, int there)
{
	cr_assert_neq(here, there);
	efd_add(here, 3);
	efd_expect(there, 3);
	efd_add(there, 4);
	efd_expect(here, 4);
	efd_expect_empty(here);
	efd_expect_empty(there);
}

static void cross(rights_call send, rights_call receive, int type)
{
	struct rights r;
	int fd = efd_open(0, 0);
	open_pair(type);
	cr_assert_eq(rights_try_send(send, sock[0], "abc", 3, &fd, 1), 3);
	errno = 77;
	cr_assert_eq(rights_try_receive(receive, sock[1], 0, &r), 3);
	cr_assert_eq(errno, 77);
	cr_assert_eq(memcmp(r.data, "abc", 3), 0);
	cr_assert_eq(r.count, 1);
	cr_assert_eq(r.flags & MSG_CTRUNC, 0);
	assert_same(fd, r.fds[0]);
	close_pair();
	efd_close(fd);
	assert_same(r.fds[0], fd = dup(r.fds[0]));
	efd_close(fd);
	efd_close(r.fds[0]);
}

Test(rights, every_call_that_sends_to_every_call_that_receives)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	for (int i = 0; i < RIGHTS_WAYS * RIGHTS_WAYS; i++) {
		for (int t = 0; t < 3; t++)
			cross(rights_senders[i / RIGHTS_WAYS], rights_receivers[i % RIGHTS_WAYS],
				types[t]);
	}
}

/* Every third is a pipe's end, every third an eventfd made by a system call instruction. */
static int make_mixed(int i)
{
	int ends[2];
	switch (i % 3) {
	case 0:
		return efd_open((unsigned)i, 0);
	case 1:
		cr_assert_eq(pipe(ends), 0);
		cr_assert_eq(write(ends[1], &i, sizeof(i)), sizeof(i));
		cr_assert_eq(close(ends[1]), 0);
		return ends[0];
	default:
		return (int)tk_raw_syscall(SYS_eventfd2, i, 0, 0, 0, 0, 0);
	}
}

static void expect_mixed(int fd, int i)
{
	int got = 0;
	if (i % 3 != 1) {
		efd_expect(fd, (uint64_t)i);
		return;
	}
	cr_assert_eq(read(fd, &got, sizeof(got)), sizeof(got));
	cr_assert_eq(got, i);
	cr_assert_eq(read(fd, &got, sizeof(got)), 0);
}

static void send_many(int count, int (*make)(int), void (*expect)(int, int))
{
	struct rights r;
	int fds[RIGHTS_MOST];
	open_pair(SOCK_STREAM);
	for (int i = 0; i < count; i++)
		fds[i] = make(i + 2);
	rights_send(sock[0], fds, count);
	close_all(fds, count);
	cr_assert_eq(rights_try_receive(recvmsg, sock[1], 0, &r), 1);
	cr_assert_eq(r.count, count);
	for (int i = 0; i < count; i++)
		expect(r.fds[i], i + 2);
	close_all(r.fds, count);
	close_pair();
}

static int make_eventfd(int i)
{
	return efd_open((unsigned)i, 0);
}

static void expect_eventfd(int fd, int i)
{
	efd_expect(fd, (uint64_t)i);
}

Test(rights, one_to_253_in_a_message)
{
	static const int counts[] = {1, 2, 3, 16, 100, 252, 253};
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		send_many(counts[i], make_eventfd, expect_eventfd);
		send_many(counts[i], make_mixed, expect_mixed);
	}
}

Test(rights, more_than_253_are_EINVAL_and_none_arrives)
{
	int fds[RIGHTS_MOST + 1], fd = efd_open(6, 0);
	for (int i = 0; i <= RIGHTS_MOST; i++)
		fds[i] = fd;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {{.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	m.msg_controllen = control.head.cmsg_len = CMSG_LEN(sizeof(fds));
	open_pair(SOCK_STREAM);
	cr_assert_eq(sendmsg(sock[0], &m, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(recv(sock[1], fds, 1, MSG_DONTWAIT), -1);
	cr_assert_eq(errno, EAGAIN);
	efd_expect(fd, 6);
	efd_close(fd);
	close_pair();
}

Test(rights, a_closed_number_among_them_is_EBADF_and_none_arrives)
{
	struct rights r;
	int fds[3] = {efd_open(1, 0), efd_open(2, 0), efd_open(3, 0)};
	open_pair(SOCK_DGRAM);
	efd_close(fds[1]);
	cr_assert_eq(rights_try_send(rights_senders[0], sock[0], "x", 1, fds, 3), -EBADF);
	cr_assert_eq(rights_try_receive(recvmsg, sock[1], MSG_DONTWAIT, &r), -EAGAIN);
	efd_expect(fds[0], 1);
	efd_expect(fds[2], 3);
	efd_close(fds[0]);
	efd_close(fds[2]);
	close_pair();
}

Test(rights, one_eventfd_several_times_in_a_message)
{
	struct rights r;
	int fd = efd_open(0, 0), fds[3] = {fd, fd, fd};
	open_pair(SOCK_STREAM);
	rights_send(sock[0], fds, 3);
	cr_assert_eq(rights_try_receive(recvmsg, sock[1], 0, &r), 1);
	cr_assert_eq(r.count, 3);
	for (int i = 0; i < 3; i++)
		assert_same(r.fds[i], i ? r.fds[0] : fd);
	efd_close(fd);
	close_all(r.fds, 2);
	efd_add(r.fds[2], 8);
	efd_expect(r.fds[2], 8);
	efd_close(r.fds[2]);
	close_pair();
}

/* Every control message of a sendmsg may hold some: the receiver gets them in one. */
Test(rights, several_control_messages_in_one_message)
{
	int fds[3] = {efd_open(10, 0), efd_open(11, 0), efd_open(12, 0)};
	struct {
		_Alignas(struct cmsghdr) char room[3 * CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	for (int i = 0; i < 3; i++) {
		struct cmsghdr *c = (void *)(control.room + (size_t)i * CMSG_SPACE(sizeof(int)));
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(c), &fds[i], sizeof(int));
	}
	struct rights r;
	open_pair(SOCK_STREAM);
	cr_assert_eq(sendmsg(sock[0], &m, 0), 1);
	close_all(fds, 3);
	cr_assert_eq(rights_try_receive(recvmsg, sock[1], 0, &r), 1);
	cr_assert_eq(r.count, 3);
	for (int i = 0; i < 3; i++)
		efd_expect(r.fds[i], 10 + (uint64_t)i);
	close_all(r.fds, 3);
	close_pair();
}

Test(rights, behind_the_credentials)
{
	struct rights r;
	int on = 1, fd = efd_open(5, 0);
	open_pair(SOCK_STREAM);
	cr_assert_eq(setsockopt(sock[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	rights_send_one(sock[0], fd);
	cr_assert_eq(rights_try_receive(recvmsg, sock[1], 0, &r), 1);
	cr_assert_eq(r.count, 1);
	cr_assert_gt(r.control, CMSG_SPACE(sizeof(int)), "no credentials");
	efd_expect(r.fds[0], 5);
	assert_same(fd, r.fds[0]);
	efd_close(fd);
	efd_close(r.fds[0]);
	close_pair();
}

Test(rights, messages_on_a_stream_come_one_by_one)
{
	struct rights r;
	open_pair(SOCK_STREAM);
	for (int i = 0; i < 20; i++) {
		int fds[2] = {efd_open((unsigned)(i + 1), 0), efd_open((unsigned)(i + 100), 0)};
		rights_send(sock[0], fds, 1 + i % 2);
		close_all(fds, 2);
	}
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(rights_try_receive(recvmsg, sock[1], 0, &r), 1);
		cr_assert_eq(r.count, 1 + i % 2);
		efd_expect(r.fds[0], (uint64_t)i + 1);
		if (r.count == 2)
			efd_expect(r.fds[1], (uint64_t)i + 100);
		close_all(r.fds, r.count);
	}
	close_pair();
}

Test(rights, bytes_before_and_behind_the_message_bring_nothing)
{
	struct rights r;
	int fd = efd_open(5, 0);
	open_pair(SOCK_STREAM);
	cr_assert_eq(send(sock[0], "abc", 3, 0), 3);
	cr_assert_eq(rights_try_send(rights_senders[0], sock[0], "def", 3, &fd, 1), 3);
	cr_assert_eq(send(sock[0], "ghi", 3, 0), 3);
	int seen = 0, bytes = 0;
	while (bytes < 9) {
		ssize_t n = rights_try_receive(recvmsg, sock[1], 0, &r);
		cr_assert_gt(n, 0);
		cr_assert_leq(r.count, 1);
		if (r.count) {
			efd_expect(r.fds[0], 5);
			assert_same(fd, r.fds[0]);
			efd_close(r.fds[0]);
		}
		bytes += (int)n;
		seen += r.count;
	}
	cr_assert_eq(seen, 1);
	efd_close(fd);
	close_pair();
}

Test(rights, a_receiver_that_wants_no_control_data_gets_no_fds)
{
	char text[8];
	int fd = efd_open(5, 0);
	open_pair(SOCK_STREAM);
	rights_send_one(sock[0], fd);
	cr_assert_eq(recv(sock[1], text, sizeof(text), 0), 1);
	rights_send_one(sock[0], fd);
	cr_assert_eq(read(sock[1], text, sizeof(text)), 1);
	rights_send_one(sock[0], fd);
	close_pair();
	efd_expect(fd, 5);
	efd_close(fd);
}
