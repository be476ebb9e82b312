/* What a receiver may ask of a message with eventfds: look first, close on exec, little room, many
 * messages. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(rights_recv, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { FEW = 4, MESSAGES = 10 };

static int sock[2];

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

/* Sends FEW eventfds that count 1, 2, ... and closes them. */
static void send_few(void)
{
	int fds[FEW];
	for (int i = 0; i < FEW; i++)
		fds[i] = efd_open((unsigned)i + 1, 0);
	rights_send(sock[0], fds, FEW);
	close_all(fds, FEW);
}

static void receive_few(rights_call call, int flags, struct rights *r)
{
	cr_assert_eq(rights_try_receive(call, sock[1], flags, r), 1);
	cr_assert_eq(r->count, FEW);
}

Test(rights_recv, a_look_brings_fds_as_well)
{
	struct rights first, second, last;
	for (int way = 0; way < RIGHTS_WAYS; way++) {
		rights_pair(sock, SOCK_STREAM);
		send_few();
		receive_few(rights_receivers[way], MSG_PEEK, &first);
		receive_few(rights_receivers[way], MSG_PEEK, &second);
		for (int i = 0; i < FEW; i++) {
			cr_assert_neq(first.fds[i], second.fds[i]);
			efd_expect(first.fds[i], (uint64_t)i + 1);
			efd_add(second.fds[i], 50 + (uint64_t)i);
		}
		close_all(first.fds, FEW);
		receive_few(rights_receivers[way], 0, &last);
		for (int i = 0; i < FEW; i++)
			efd_expect(last.fds[i], 50 + (uint64_t)i);
		close_all(second.fds, FEW);
		for (int i = 0; i < FEW; i++)
			efd_expect_empty(last.fds[i]);
		close_all(last.fds, FEW);
		close_pair();
	}
}

Test(rights_recv, only_the_receiver_says_whether_they_close_on_exec)
{
	struct rights r;
	int fds[2] = {efd_open(1, EFD_CLOEXEC), efd_open(1, 0)};
	rights_pair(sock, SOCK_SEQPACKET);
	for (int way = 0; way < RIGHTS_WAYS * 2; way++) {
		int flag = way % 2 ? MSG_CMSG_CLOEXEC : 0;
		rights_send(sock[0], fds, 2);
		cr_assert_eq(rights_try_receive(rights_receivers[way / 2], sock[1], flag, &r), 1);
		for (int i = 0; i < 2; i++) {
			int got = fcntl(r.fds[i], F_GETFD);
			cr_assert_eq(got, way % 2 ? FD_CLOEXEC : 0, "way %d: %d", way, got);
			cr_assert_eq(got, tk_raw_syscall(SYS_fcntl, r.fds[i], F_GETFD, 0, 0, 0, 0));
		}
		close_all(r.fds, 2);
	}
	cr_assert_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(fds[1], F_GETFD), 0);
	close_all(fds, 2);
	close_pair();
}

static void receive_in_room(size_t room, int flags, int expected)
{
	struct rights r;
	send_few();
	cr_assert_eq(rights_try_receive_into(sock[1], flags, room, &r), 1);
	cr_assert_eq(r.count, expected, "%d fds in %zu bytes", r.count, room);
	cr_assert_eq(!(r.flags & MSG_CTRUNC), expected == FEW, "flags %#x", (unsigned)r.flags);
	for (int i = 0; i < expected; i++) {
		efd_expect(r.fds[i], (uint64_t)i + 1);
		efd_add(r.fds[i], 7);
		efd_expect(r.fds[i], 7);
	}
	close_all(r.fds, r.count);
}

Test(rights_recv, as_many_arrive_as_there_is_room_for)
{
	rights_pair(sock, SOCK_SEQPACKET);
	for (int i = 1; i <= FEW; i++) {
		receive_in_room(CMSG_LEN((size_t)i * sizeof(int)), 0, i);
		receive_in_room(CMSG_LEN((size_t)i * sizeof(int)), MSG_CMSG_CLOEXEC, i);
	}
	receive_in_room(CMSG_LEN(2 * sizeof(int)) + 3, 0, 2);
	receive_in_room(CMSG_LEN(0), 0, 0);
	receive_in_room(CMSG_LEN(0) - 1, 0, 0);
	receive_in_room(1, 0, 0);
	receive_in_room(0, 0, 0);
	close_pair();
}

Test(rights_recv, those_for_which_there_is_no_room_are_closed)
{
	struct rights r;
	int ends[2], fds[3];
	struct pollfd p = {.events = POLLIN};
	cr_assert_eq(pipe(ends), 0);
	fds[0] = efd_open(1, 0);
	fds[1] = ends[1];
	fds[2] = efd_open(2, 0);
	rights_pair(sock, SOCK_STREAM);
	rights_send(sock[0], fds, 3);
	close_all(fds, 3);
	cr_assert_eq(rights_try_receive_into(sock[1], 0, CMSG_LEN(sizeof(int)), &r), 1);
	cr_assert_eq(r.count, 1);
	p.fd = ends[0];
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(p.revents, POLLHUP, "the pipe's writing end is still open");
	efd_expect(r.fds[0], 1);
	efd_close(r.fds[0]);
	cr_assert_eq(close(ends[0]), 0);
	close_pair();
}

static void receive_with_few_numbers(void *unused)
{
	(void)unused;
	struct rights r;
	uint64_t value = 0;
	int numbers[2] = {dup(sock[1]), dup(sock[1])};
	struct rlimit limit = {(rlim_t)numbers[1] + 1, (rlim_t)numbers[1] + 1};
	CHECK(close(numbers[0]) == 0 && close(numbers[1]) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(rights_try_receive(recvmsg, sock[1], 0, &r) == 1);
	CHECK(r.count == 2 && r.flags & MSG_CTRUNC);
	for (int i = 0; i < 2; i++) {
		CHECK(r.fds[i] == numbers[i]);
		CHECK(read(r.fds[i], &value, 8) == 8 && value == (uint64_t)i + 1);
	}
}

Test(rights_recv, as_many_arrive_as_there_are_numbers_for)
{
	rights_pair(sock, SOCK_STREAM);
	send_few();
	in_child(receive_with_few_numbers, NULL);
	close_pair();
}

Test(rights_recv, nothing_to_receive_is_EAGAIN)
{
	struct rights r;
	rights_pair(sock, SOCK_STREAM);
	for (int way = 0; way < RIGHTS_WAYS; way++)
		cr_assert_eq(rights_try_receive(rights_receivers[way], sock[1], MSG_DONTWAIT, &r),
			-EAGAIN);
	cr_assert_eq(close(sock[0]), 0);
	for (int way = 0; way < RIGHTS_WAYS; way++)
		cr_assert_eq(rights_try_receive(rights_receivers[way], sock[1], 0, &r), 0);
	cr_assert_eq(close(sock[1]), 0);
}

struct batch {
	struct mmsghdr messages[MESSAGES];
	struct iovec iov[MESSAGES];
	char text[MESSAGES];
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control[MESSAGES];
};

static void prepare(struct batch *b, int fds_each)
{
	memset(b, 0, sizeof(*b));
	for (int i = 0; i < MESSAGES; i++) {
		struct msghdr *m = &b->messages[i].msg_hdr;
		b->iov[i] = (struct iovec){&b->text[i], 1};
		m->msg_iov = &b->iov[i];
		m->msg_iovlen = 1;
		m->msg_control = &b->control[i];
		m->msg_controllen = CMSG_SPACE((size_t)fds_each * sizeof(int));
	}
}

/* Message i holds an eventfd that counts i + 1 and one that counts i + 100. */
static void send_batch(ssize_t (*send)(int, struct mmsghdr *))
{
	struct batch b;
	int fds[MESSAGES][2];
	prepare(&b, 2);
	for (int i = 0; i < MESSAGES; i++) {
		fds[i][0] = efd_open((unsigned)i + 1, EFD_NONBLOCK);
		fds[i][1] = efd_open((unsigned)i + 100, EFD_SEMAPHORE);
		struct cmsghdr *c = CMSG_FIRSTHDR(&b.messages[i].msg_hdr);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(2 * sizeof(int))};
		memcpy(CMSG_DATA(c), fds[i], sizeof(fds[i]));
	}
	cr_assert_eq(send(sock[0], b.messages), MESSAGES);
	for (int i = 0; i < MESSAGES; i++)
		close_all(fds[i], 2);
}

static void expect_message(const struct batch *b, int i)
{
	int fds[2];
	struct msghdr m = b->messages[i].msg_hdr;
	cr_assert_eq(b->messages[i].msg_len, 1);
	cr_assert_eq(CMSG_FIRSTHDR(&m)->cmsg_len, CMSG_LEN(sizeof(fds)));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	efd_expect(fds[0], (uint64_t)i + 1);
	for (int j = 0; j < 3; j++)
		efd_expect(fds[1], 1);
	cr_assert_eq(fcntl(fds[0], F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(fcntl(fds[1], F_GETFL), O_RDWR);
	close_all(fds, 2);
}

static ssize_t send_by_libc(int to, struct mmsghdr *messages)
{
	return sendmmsg(to, messages, MESSAGES, 0);
}

static ssize_t send_by_syscall(int to, struct mmsghdr *messages)
{
	return syscall(SYS_sendmmsg, to, messages, MESSAGES, 0);
}

static ssize_t receive_by_libc(int from, struct mmsghdr *messages)
{
	struct timespec limit = {10, 0};
	return recvmmsg(from, messages, MESSAGES, 0, &limit);
}

static ssize_t receive_by_syscall(int from, struct mmsghdr *messages)
{
	return syscall(SYS_recvmmsg, from, messages, MESSAGES, 0, NULL);
}

Test(rights_recv, many_messages_at_once)
{
	ssize_t (*const sends[])(int, struct mmsghdr *) = {send_by_libc, send_by_syscall};
	ssize_t (*const receives[])(int, struct mmsghdr *) = {receive_by_libc, receive_by_syscall};
	struct batch b;
	if (tk_lacks(SYS_recvmmsg) || tk_lacks(SYS_sendmmsg))
		return;
	for (int way = 0; way < 4; way++) {
		rights_pair(sock, SOCK_DGRAM);
		send_batch(sends[way / 2]);
		prepare(&b, 2);
		cr_assert_eq(receives[way % 2](sock[1], b.messages), MESSAGES);
		for (int i = 0; i < MESSAGES; i++)
			expect_message(&b, i);
		close_pair();
	}
}

Test(rights_recv, fewer_messages_than_there_is_room_for)
{
	struct batch b;
	if (tk_lacks(SYS_recvmmsg) || tk_lacks(SYS_sendmmsg))
		return;
	rights_pair(sock, SOCK_DGRAM);
	send_batch(send_by_libc);
	rights_send(sock[0], NULL, 0);
	prepare(&b, 2);
	cr_assert_eq(recvmmsg(sock[1], b.messages, 4, MSG_WAITFORONE, NULL), 4);
	for (int i = 0; i < 4; i++)
		expect_message(&b, i);
	prepare(&b, 2);
	cr_assert_eq(recvmmsg(sock[1], b.messages, MESSAGES, MSG_DONTWAIT, NULL), MESSAGES - 3);
	for (int i = 0; i < MESSAGES - 4; i++)
		cr_assert_eq(b.messages[i].msg_hdr.msg_controllen, CMSG_SPACE(2 * sizeof(int)));
	cr_assert_eq(b.messages[MESSAGES - 4].msg_hdr.msg_controllen, 0);
	for (int i = 0; i < MESSAGES - 4; i++) {
		int fds[2];
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&b.messages[i].msg_hdr)), sizeof(fds));
		efd_expect(fds[0], (uint64_t)i + 5);
		close_all(fds, 2);
	}
	close_pair();
}

/* The receiver sleeps in its call when the message comes. */
static void receives_asleep(void *way)
{
	struct rights r;
	uint64_t value = 0;
	CHECK(rights_try_receive(*(rights_call *)way, sock[1], 0, &r) == 1);
	CHECK(r.count == 1);
	CHECK(read(r.fds[0], &value, 8) == 8 && value == 5);
	value = 6;
	CHECK(write(r.fds[0], &value, 8) == 8);
}

Test(rights_recv, a_call_that_waits_for_the_message)
{
	for (int way = 0; way < RIGHTS_WAYS; way++) {
		rights_call call = rights_receivers[way];
		int fd = efd_open(5, 0);
		rights_pair(sock, SOCK_STREAM);
		pid_t pid = start_child(receives_asleep, &call);
		tk_wait_process_asleep(pid);
		rights_send_one(sock[0], fd);
		end_child(pid);
		efd_expect(fd, 6);
		efd_close(fd);
		close_pair();
	}
}
