#define _GNU_SOURCE
#include "mate.h"
#include "askboth.h"
#include "maskkit.h"
#include "reexec.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOW_SOCKET = 3 };

static struct timespec *in_ms(int limit, struct timespec *t)
{
	*t = (struct timespec){limit / 1000, limit % 1000 * 1000000L};
	return limit < 0 ? NULL : t;
}

static long serve_poll(const struct mate_call *c, struct mate_reply *r)
{
	struct pollfd p = {c->fd, (short)c->events, -1};
	struct timespec t;
	long n = c->op == MATE_POLL ? poll(&p, 1, c->limit)
				    : ppoll(&p, 1, in_ms(c->limit, &t), NULL);
	r->events = (unsigned short)p.revents;
	return n;
}

static long serve_select(const struct mate_call *c, struct mate_reply *r)
{
	fd_set set[3], *arg[3];
	struct timespec t;
	struct timeval now = {c->limit / 1000, c->limit % 1000 * 1000L};
	for (unsigned i = 0; i < 3; i++) {
		FD_ZERO(&set[i]);
		arg[i] = c->events & 1U << i ? &set[i] : NULL;
		if (arg[i])
			FD_SET(c->fd, arg[i]);
	}
	long n = c->op == MATE_SELECT
			 ? select(c->fd + 1, arg[0], arg[1], arg[2], c->limit < 0 ? NULL : &now)
			 : pselect(c->fd + 1, arg[0], arg[1], arg[2], in_ms(c->limit, &t), NULL);
	for (unsigned i = 0; i < 3 && n > 0; i++)
		r->events |= FD_ISSET(c->fd, &set[i]) ? 1U << i : 0;
	return n;
}

static long serve_wait(const struct mate_call *c, struct mate_reply *r)
{
	int n = epoll_wait(c->fd, r->got, MATE_EVENTS, c->limit);
	if (n > 0) {
		r->events = r->got[0].events;
		r->data = r->got[0].data.u64;
	}
	return n;
}

static long serve_io(const struct mate_call *c, struct mate_reply *r)
{
	struct efd_mask mask = {c->events, c->data};
	if (c->op == MATE_WRITE)
		return write(c->fd, &mask, sizeof(mask));
	long n = read(c->fd, &mask, sizeof(mask));
	r->events = mask.events;
	r->data = mask.data;
	return n;
}

static long serve_ctl(const struct mate_call *c)
{
	struct epoll_event event = {.events = c->events, .data.u64 = c->data};
	return epoll_ctl(c->set, c->ctl, c->fd, &event);
}

static long serve(const struct mate_call *c, struct mate_reply *r)
{
	switch (c->op) {
	case MATE_WRITE:
	case MATE_READ:
		return serve_io(c, r);
	case MATE_POLL:
	case MATE_PPOLL:
		return serve_poll(c, r);
	case MATE_SELECT:
	case MATE_PSELECT:
		return serve_select(c, r);
	case MATE_WAIT:
		return serve_wait(c, r);
	case MATE_SET:
		return epoll_create1(0);
	case MATE_CTL:
		return serve_ctl(c);
	case MATE_DUP:
		return dup(c->fd);
	case MATE_CLOSE:
		return close(c->fd);
	case MATE_OPEN:
		r->ret = mask_try_open((int)c->events);
		errno = r->ret < 0 ? (int)-r->ret : 0;
		return r->ret < 0 ? -1 : r->ret;
	default:
		return 0;
	}
}

static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long sleeps(void)
{
	struct rusage usage = {0};
	tk_raw_syscall(SYS_getrusage, RUSAGE_THREAD, (long)(intptr_t)&usage, 0, 0, 0, 0);
	return usage.ru_nvcsw;
}

static struct mate_reply measured(const struct mate_call *c)
{
	struct mate_reply r = {.ret = 0};
	long slept = sleeps();
	int64_t before = cpu_ns();
	long ret = serve(c, &r);
	r.ret = ret == -1 ? -errno : ret;
	r.cpu_ns = cpu_ns() - before;
	r.sleeps = sleeps() - slept;
	return r;
}

static long take_fd(int sock)
{
	struct rights got;
	if (rights_try_receive(recvmsg, sock, 0, &got) != 1 || got.count != 1)
		return -EBADMSG;
	return got.fds[0];
}

static void play(int sock)
{
	struct mate_call c;
	do {
		struct mate_reply r;
		if (recv(sock, &c, sizeof(c), 0) != sizeof(c))
			return;
		if (c.op == MATE_TAKE)
			r = (struct mate_reply){.ret = take_fd(sock)};
		else
			r = measured(&c);
		if (send(sock, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
			return;
		if (c.op == MATE_GIVE)
			rights_try_send(rights_senders[0], sock, "x", 1, &c.fd, 1);
	} while (c.op != MATE_END);
}

ROLE(mate)
{
	play(arg[0]);
}

struct started {
	int sock;
	enum mate_kind kind;
};

static void become_mate(void *start)
{
	struct started *s = start;
	if (s->kind == MATE_PEER || s->kind == MATE_STRANGER) {
		tk_raw_syscall(SYS_dup3, s->sock, LOW_SOCKET, 0, 0, 0, 0);
		s->sock = LOW_SOCKET;
	}
	if (s->kind == MATE_PEER)
		close_range(LOW_SOCKET + 1, ~0U, 0);
	if (s->kind == MATE_STRANGER)
		tk_raw_syscall(SYS_close_range, LOW_SOCKET + 1, ~0U, 0, 0, 0, 0);
	tk_raw_syscall(SYS_fcntl, s->sock, F_SETFD, 0, 0, 0, 0);
	if (s->kind == MATE_EXECED || s->kind == MATE_STRANGER)
		become("mate %d", s->sock);
	play(s->sock);
}

struct thread_start {
	int sock;
	pid_t tid;
	pthread_barrier_t started;
};

static void *run_thread(void *arg)
{
	struct thread_start *s = arg;
	int sock = s->sock;
	s->tid = gettid();
	pthread_barrier_wait(&s->started);
	play(sock);
	return NULL;
}

static void start_thread(struct mate *m)
{
	struct thread_start s = {.sock = m->other};
	pthread_barrier_init(&s.started, NULL, 2);
	if (pthread_create(&m->thread, NULL, run_thread, &s))
		cr_assert_fail("pthread_create");
	pthread_barrier_wait(&s.started);
	pthread_barrier_destroy(&s.started);
	m->tid = s.tid;
}

struct mate mate_start(enum mate_kind kind)
{
	struct mate m = {.kind = kind, .sock = -1, .other = -1};
	int sock[2];
	if (kind == MATE_SELF)
		return m;
	rights_pair(sock, SOCK_SEQPACKET);
	m.sock = sock[0];
	m.other = sock[1];
	if (kind == MATE_THREAD) {
		start_thread(&m);
		return m;
	}
	struct started s = {m.other, kind};
	m.pid = start_child(become_mate, &s);
	close(m.other);
	m.other = -1;
	mate_do(&m, (struct mate_call){.op = MATE_POLL, .fd = -1});
	return m;
}

static void close_socks(struct mate *m)
{
	close(m->sock);
	if (m->other >= 0)
		close(m->other);
}

void mate_end(struct mate *m)
{
	if (m->kind == MATE_SELF)
		return;
	mate_do(m, (struct mate_call){.op = MATE_END});
	if (m->kind == MATE_THREAD)
		pthread_join(m->thread, NULL);
	else
		end_child(m->pid);
	close_socks(m);
}

void mate_kill(struct mate *m)
{
	int status;
	cr_assert_eq(kill(m->pid, SIGKILL), 0);
	cr_assert_eq(waitpid(m->pid, &status, 0), m->pid);
	close_socks(m);
}

const char *mate_name(enum mate_kind kind)
{
	static const char *const names[MATE_KINDS] = {"this thread", "another thread",
		"a forked child", "another program", "a child that was sent it",
		"another program that was sent it"};
	return names[kind];
}

bool mate_apart(const struct mate *m)
{
	return m->kind == MATE_PEER || m->kind == MATE_STRANGER;
}

int mate_hand(struct mate *m, int fd)
{
	if (!mate_apart(m))
		return fd;
	mate_ask(m, (struct mate_call){.op = MATE_TAKE});
	rights_send_one(m->sock, fd);
	long there = mate_answer(m).ret;
	if (there < 0)
		cr_assert_fail("an fd is not received: %ld", there);
	return (int)there;
}

int mate_give(struct mate *m, int fd)
{
	mate_do(m, (struct mate_call){.op = MATE_GIVE, .fd = fd});
	return rights_receive_one(m->sock, 0);
}

void mate_ask(struct mate *m, struct mate_call call)
{
	if (m->kind == MATE_SELF)
		m->said = measured(&call);
	else if (send(m->sock, &call, sizeof(call), MSG_NOSIGNAL) != sizeof(call))
		cr_assert_fail("%s cannot be asked: errno %d", mate_name(m->kind), errno);
}

bool mate_answered(const struct mate *m)
{
	char byte;
	return recv(m->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

struct mate_reply mate_answer(struct mate *m)
{
	if (m->kind != MATE_SELF && recv(m->sock, &m->said, sizeof(m->said), 0) != sizeof(m->said))
		cr_assert_fail("%s does not answer", mate_name(m->kind));
	return m->said;
}

struct mate_reply mate_do(struct mate *m, struct mate_call call)
{
	mate_ask(m, call);
	return mate_answer(m);
}

bool mate_sleeps(struct mate *m)
{
	if (m->kind == MATE_THREAD)
		tk_wait_asleep(m->tid);
	else
		tk_wait_process_asleep(m->pid);
	return !mate_answered(m);
}

void mate_ask_asleep(struct mate *m, struct mate_call call)
{
	mate_ask(m, call);
	if (mate_sleeps(m))
		return;
	struct mate_reply r = mate_answer(m);
	cr_assert_fail("%s: call %d on fd %d for %#x does not block: %ld, %#x, data %#jx",
		mate_name(m->kind), (int)call.op, call.fd, call.events, r.ret, r.events,
		(uintmax_t)r.data);
}

static struct mate_reply good(struct mate *m, struct mate_call call, long from, long to)
{
	struct mate_reply r = mate_do(m, call);
	if (r.ret < from || r.ret > to)
		cr_assert_fail("%s: call %d on fd %d: %ld", mate_name(m->kind), (int)call.op,
			call.fd, r.ret);
	return r;
}

void mate_write(struct mate *m, int fd, uint32_t events, uint64_t data)
{
	good(m, (struct mate_call){.op = MATE_WRITE, .fd = fd, .events = events, .data = data},
		MASK_BYTES, MASK_BYTES);
}

int mate_new_set(struct mate *m)
{
	return (int)good(m, (struct mate_call){.op = MATE_SET}, 0, 1 << 20).ret;
}

void mate_ctl(struct mate *m, int ctl, int set, int fd, uint32_t events, uint64_t data)
{
	good(m,
		(struct mate_call){.op = MATE_CTL,
			.ctl = ctl,
			.set = set,
			.fd = fd,
			.events = events,
			.data = data},
		0, 0);
}

void mate_close(struct mate *m, int fd)
{
	good(m, (struct mate_call){.op = MATE_CLOSE, .fd = fd}, 0, 0);
}

uint32_t mate_poll(struct mate *m, int fd, uint32_t interest)
{
	return good(m, (struct mate_call){.op = MATE_POLL, .fd = fd, .events = interest}, 0, 1)
		.events;
}

uint32_t mate_event(struct mate *m, int set, uint64_t *data)
{
	struct mate_reply r = good(m, (struct mate_call){.op = MATE_WAIT, .fd = set}, 0, 1);
	if (r.ret && data)
		*data = r.data;
	return r.ret ? r.events : 0;
}
