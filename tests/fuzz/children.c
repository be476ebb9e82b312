/* Forked children of an executor: they share its fds and take turns with it. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

bool child_alive(const struct box *b, unsigned proc)
{
	return b->child[proc].pid > 0;
}

/* The channel must not take numbers that a sequence could get. */
bool open_channel(unsigned proc, int ends[2])
{
	int low[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, low) != 0)
		return false;
	ends[0] = dup3(low[0], CHILD_FD + 2 * (int)proc, O_CLOEXEC);
	ends[1] = dup3(low[1], CHILD_FD + 2 * (int)proc + 1, O_CLOEXEC);
	close(low[0]);
	close(low[1]);
	return ends[0] >= 0 && ends[1] >= 0;
}

/* A child that held its siblings' channels would keep them from seeing their end. */
static void drop_channels(struct box *b, int mine)
{
	close(mine);
	for (unsigned proc = 1; proc < PROCS; proc++)
		if (child_alive(b, proc))
			close(b->child[proc].chan);
}

static void live(struct box *b, int chan)
{
	uint32_t i;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(chan, &i, sizeof(i)) == sizeof(i)) {
		box_perform(b, i);
		if (write(chan, &i, sizeof(i)) != sizeof(i))
			break;
	}
	_exit(0);
}

bool child_start(struct box *b, unsigned proc)
{
	int ends[2];
	if (!open_channel(proc, ends))
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		drop_channels(b, ends[0]);
		live(b, ends[1]);
	}
	close(ends[1]);
	b->child[proc] = (struct child){.pid = pid, .chan = ends[0]};
	return pid > 0;
}

void child_stop(struct box *b, unsigned proc, bool kill_it)
{
	struct child *c = &b->child[proc];
	if (kill_it)
		kill(c->pid, SIGKILL);
	close(c->chan);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	c->pid = 0;
}

void child_relay(struct box *b, unsigned proc, size_t i)
{
	uint32_t turn = (uint32_t)i;
	int chan = b->child[proc].chan;
	if (write(chan, &turn, sizeof(turn)) == sizeof(turn) &&
		read(chan, &turn, sizeof(turn)) == sizeof(turn))
		return;
	b->arena->results[i].status = CRASHED;
	child_stop(b, proc, false);
}

static void end_child(struct box *b, unsigned proc, bool kill_it)
{
	if (b->modelled) {
		model_exit(proc);
		b->child[proc].pid = 0;
	} else {
		child_stop(b, proc, kill_it);
	}
}

static void end_children(struct box *b)
{
	for (unsigned proc = 1; proc < PROCS; proc++)
		if (child_alive(b, proc))
			end_child(b, proc, false);
}

static void close_all(struct box *b)
{
	if (b->modelled)
		return;
	for (int fd = 3; fd <= b->highest; fd++)
		close(fd);
}

static void run_reset(struct box *b, const struct op *op, struct result *r)
{
	end_children(b);
	close_all(b);
	for (int i = 0; i < SLOTS; i++)
		b->fd[i] = -1;
	b->highest = 0;
	b->edges = op->arg[0];
	b->semaphores = op->arg[1];
	b->forks = op->arg[2];
	b->follows = op->arg[3];
	b->modelled = b->models && b->follows;
	model_reset(b->fault, b->allow);
	r->ret = 0;
}

static void show_reset(FILE *f, const struct op *op)
{
	fprintf(f, "close everything%s%s%s", op->arg[0] ? ", edges only from here" : "",
		op->arg[1] ? ", with semaphores" : "", op->arg[3] ? ", by the model" : "");
}

static void make_fork(struct gen *g, struct op *op)
{
	op->proc = 0;
	op->arg[0] = 1 + below(g, PROCS - 1);
	if (g->kids >> op->arg[0] & 1)
		op->arg[0] = PROCS - op->arg[0];
	g->kids |= 1u << op->arg[0];
}

static bool start(struct box *b, unsigned proc)
{
	if (!b->modelled)
		return child_start(b, proc);
	model_fork(b, proc);
	b->child[proc].pid = 1;
	return box_copy(b, b->kin[proc], proc);
}

static void run_fork(struct box *b, const struct op *op, struct result *r)
{
	unsigned proc = (unsigned)op->arg[0] % PROCS;
	if (proc == 0 || child_alive(b, proc))
		r->status = SKIPPED;
	else
		answer(r, start(b, proc) ? 0 : -1);
}

static void show_fork(FILE *f, const struct op *op)
{
	fprintf(f, "fork() as child %u", (unsigned)op->arg[0]);
}

static void make_exit(struct gen *g, struct op *op)
{
	op->proc = 0;
	op->arg[0] = 1 + below(g, PROCS - 1);
	if (!(g->kids >> op->arg[0] & 1))
		op->arg[0] = PROCS - op->arg[0];
	op->arg[1] = chance(g, 30);
	g->kids &= ~(1u << op->arg[0]);
}

static void run_exit(struct box *b, const struct op *op, struct result *r)
{
	unsigned proc = (unsigned)op->arg[0] % PROCS;
	if (proc == 0 || !child_alive(b, proc))
		r->status = SKIPPED;
	else
		end_child(b, proc, op->arg[1]);
}

static void show_exit(FILE *f, const struct op *op)
{
	fprintf(f, "child %u %s", (unsigned)op->arg[0], op->arg[1] ? "is killed" : "exits");
}

const struct kind kind_reset = {.name = "reset", .run = run_reset, .show = show_reset};
const struct kind kind_fork = {
	.name = "fork", .weight = 14, .make = make_fork, .run = run_fork, .show = show_fork};
const struct kind kind_exit = {
	.name = "exit", .weight = 7, .make = make_exit, .run = run_exit, .show = show_exit};
