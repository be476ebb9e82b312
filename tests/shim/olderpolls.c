/* ppoll, pselect and select, by libc's functions and by syscall(): what they answer, and which
 * signals they let in. "answers" prints what does not depend on time; "signals" passes where none
 * is lost. */
#include "older.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

enum { SIGNALS = 300, NS = 1000000000, SIGSET = 8 };

static _Atomic int handled;
static sigset_t none, usr1;

static void count(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (int64_t)NS + t.tv_nsec;
}

static void errors(struct pollfd *one)
{
	struct timespec bad = {0, NS}, negative = {-1, 0}, zero = {0, 0};
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd_set set;

	SAY(ppoll(one, 1, &bad, NULL));
	SAY(ppoll(one, 1, &negative, &none));
	SAY(ppoll(hole, 1, &zero, &none));
	SAY(ppoll(one, 1, &zero, hole));
	SAY(ppoll(one, 1 << 30, &zero, NULL));
	FD_ZERO(&set);
	SAY(pselect(0, &set, NULL, NULL, &bad, NULL));
	SAY(pselect(0, &set, NULL, NULL, &negative, NULL));
	SAY(pselect(-1, &set, NULL, NULL, &zero, NULL));
	SAY(pselect(1, hole, NULL, NULL, &zero, NULL));
	SAY(select(-1, NULL, NULL, NULL, &(struct timeval){0, 0}));
	SAY(select(0, NULL, NULL, NULL, &(struct timeval){-1, 0}));
}

static long by_select(int fd, long ns, const sigset_t *mask, int how)
{
	struct timespec limit = {0, ns};
	struct timeval micro = {0, ns / 1000};
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	switch (how) {
	case 0:
		return pselect(fd + 1, &in, NULL, NULL, &limit, mask);
	case 1:
		return select(fd + 1, &in, NULL, NULL, &micro);
	case 2:
		return pselect(fd + 1, NULL, &out, NULL, &limit, mask);
	default:
		return syscall(SYS_pselect6, fd + 1, &in, NULL, NULL, &limit,
			(const void *[]){mask, (void *)SIGSET});
	}
}

static void waits(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	for (int how = 0; how < 4; how++) {
		printf("%d\n", how);
		SAY(by_select(fd, 0, &none, how));
		SAY(by_select(fd, 3000000, &none, how));
	}
	SAY(ppoll(&one, 1, &(struct timespec){0, 0}, &none));
	SAY(ppoll(&one, 1, &(struct timespec){0, 1500000}, NULL));
	SAY(ppoll(&one, 1, &(struct timespec){0, 200000}, &none));
	SAY(syscall(SYS_ppoll, &one, 1, &(struct timespec){0, 2000000}, &none, SIGSET));
	printf("    %x\n", one.revents);
}

/* A pending signal that the mask lets in, and what is ignored. */
static void pending(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	atomic_store(&handled, 0);
	raise(SIGUSR1);
	SAY(ppoll(&one, 1, &(struct timespec){0, 5000000}, &usr1));
	SAY(atomic_load(&handled));
	SAY(ppoll(&one, 1, NULL, &none));
	SAY(atomic_load(&handled));
	raise(SIGUSR1);
	SAY(by_select(fd, 900000000, &none, 0));
	SAY(atomic_load(&handled));
	raise(SIGCHLD);
	SAY(ppoll(&one, 1, &(struct timespec){0, 5000000}, &none));
	signal(SIGUSR2, SIG_IGN);
	raise(SIGUSR2);
	SAY(ppoll(&one, 1, &(struct timespec){0, 5000000}, &none));
}

static void early(int fd)
{
	for (long ns = 1; ns < 6000000; ns = ns * 3 + 1) {
		struct pollfd one = {.fd = fd, .events = POLLIN};
		int64_t start = now();

		SAY(ppoll(&one, 1, &(struct timespec){0, ns}, &none));
		SAY(now() - start >= ns);
	}
}

static int answers(void)
{
	int ends[2], fake = eventfd(0, EFD_NONBLOCK);
	uint64_t word = 1;

	if (pipe(ends))
		return 1;
	errors(&(struct pollfd){.fd = fake, .events = POLLIN});
	errors(&(struct pollfd){.fd = ends[0], .events = POLLIN});
	for (int i = 0; i < 2; i++) {
		int fd = i ? ends[0] : fake;

		waits(fd);
		pending(fd);
		early(fd);
		SAY(write(i ? ends[1] : fake, &word, sizeof(word)));
		waits(fd);
	}
	return 0;
}

static pthread_t waiter;

static void *send_all(void *arg)
{
	(void)arg;
	for (int i = 0; i < SIGNALS; i++) {
		while (atomic_load(&handled) < i)
			;
		pthread_kill(waiter, SIGUSR1);
	}
	return NULL;
}

static int signals(void)
{
	int ends[2];
	pthread_t sender;

	if (pipe(ends))
		return 1;
	waiter = pthread_self();
	alarm(50);
	pthread_create(&sender, NULL, send_all, NULL);
	for (int i; (i = atomic_load(&handled)) < SIGNALS;) { /* a wait may let two in */
		struct pollfd one = {.fd = i % 2 ? ends[0] : eventfd(0, 0), .events = POLLIN};
		int n = ppoll(&one, 1, NULL, &none);

		if (n != -1 || errno != EINTR || atomic_load(&handled) <= i)
			return fprintf(stderr, "%d after %d signals: %m\n", n, i);
		if (i % 2 == 0)
			close(one.fd);
	}
	pthread_join(sender, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	return argc > 1 && !strcmp(argv[1], "signals") ? signals() : answers();
}
