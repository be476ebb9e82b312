/* Operations and results as lines for people. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <string.h>
#include <sys/epoll.h>

const char *const place_names[PLACES] = {
	"buf", "edge", "straddle", "NULL", "unmapped", "readonly", "kernel"};

const struct kind *const kinds[KINDS] = {
	[K_RESET] = &kind_reset,
	[K_EVENTFD] = &kind_eventfd,
	[K_MASK] = &kind_mask,
	[K_PIPE] = &kind_pipe,
	[K_SOCKETPAIR] = &kind_socketpair,
	[K_FILE] = &kind_file,
	[K_DUP] = &kind_dup,
	[K_DUP2] = &kind_dup2,
	[K_DUP3] = &kind_dup3,
	[K_DUPFD] = &kind_dupfd,
	[K_CLOSE] = &kind_close,
	[K_CLOSE_RANGE] = &kind_close_range,
	[K_FCLOSE] = &kind_fclose,
	[K_READ] = &kind_read,
	[K_WRITE] = &kind_write,
	[K_READV] = &kind_readv,
	[K_WRITEV] = &kind_writev,
	[K_MASK_WRITE] = &kind_mask_write,
	[K_PREAD] = &kind_pread,
	[K_PWRITE] = &kind_pwrite,
	[K_EFD_READ] = &kind_efd_read,
	[K_EFD_WRITE] = &kind_efd_write,
	[K_GETFL] = &kind_getfl,
	[K_SETFL] = &kind_setfl,
	[K_GETFD] = &kind_getfd,
	[K_SETFD] = &kind_setfd,
	[K_IOCTL] = &kind_ioctl,
	[K_LSEEK] = &kind_lseek,
	[K_QUERY] = &kind_query,
	[K_SPLICE] = &kind_splice,
	[K_POLL] = &kind_poll,
	[K_SELECT] = &kind_select,
	[K_EP_CREATE] = &kind_ep_create,
	[K_EP_CTL] = &kind_ep_ctl,
	[K_EP_WAIT] = &kind_ep_wait,
	[K_EP_DRAIN] = &kind_ep_drain,
	[K_FORK] = &kind_fork,
	[K_EXIT] = &kind_exit,
};

const char *slot_name(uint64_t slot)
{
	static const char *const names[SLOTS] = {"efd0", "efd1", "efd2", "efd3", "efd4", "efd5",
		"efd6", "efd7", "dup0", "dup1", "dup2", "dup3", "dup4", "dup5", "dup6", "dup7",
		"pipe_r", "pipe_w", "sock_a", "sock_b", "file", "ep0", "ep1", "ep2", "ep3"};
	return slot < SLOTS ? names[slot] : "-1";
}

void show_bits(FILE *f, uint64_t bits, const struct bit_name *names)
{
	const char *separator = "";
	if (!bits)
		fprintf(f, "0");
	for (; names->name; names++) {
		if ((bits & names->bit) != names->bit)
			continue;
		fprintf(f, "%s%s", separator, names->name);
		separator = "|";
		bits &= ~names->bit;
	}
	if (bits)
		fprintf(f, "%s%#llx", separator, (unsigned long long)bits);
}

/* poll and epoll share these bits. */
void show_events(FILE *f, uint64_t bits)
{
	static const struct bit_name names[] = {
		{EPOLLIN, "IN"},
		{EPOLLPRI, "PRI"},
		{EPOLLOUT, "OUT"},
		{EPOLLERR, "ERR"},
		{EPOLLHUP, "HUP"},
		{0x20, "NVAL"},
		{EPOLLRDNORM, "RDNORM"},
		{EPOLLRDBAND, "RDBAND"},
		{EPOLLWRNORM, "WRNORM"},
		{EPOLLWRBAND, "WRBAND"},
		{EPOLLMSG, "MSG"},
		{EPOLLRDHUP, "RDHUP"},
		{EPOLLEXCLUSIVE, "EXCLUSIVE"},
		{EPOLLWAKEUP, "WAKEUP"},
		{EPOLLONESHOT, "ONESHOT"},
		{EPOLLET, "ET"},
		{0, NULL},
	};
	show_bits(f, bits, names);
}

void show_op(FILE *f, const struct op *op)
{
	if (op->proc)
		fprintf(f, "[child %u] ", op->proc);
	kinds[op->kind]->show(f, op);
	if (op->raw)
		fprintf(f, " by syscall()");
}

static void show_values(FILE *f, const struct op *op, const struct result *r)
{
	fprintf(f, " {");
	for (unsigned i = 0; i < r->n; i++) {
		bool is_events = kinds[op->kind]->shape == EVENTS && i % 2 == 0;
		fprintf(f, i ? " " : "");
		if (is_events || kinds[op->kind]->shape == MASKS)
			show_events(f, r->v[i]);
		else
			fprintf(f, "%#llx", (unsigned long long)r->v[i]);
	}
	fprintf(f, "}");
}

void show_result(FILE *f, const struct op *op, const struct result *r)
{
	static const char *const ends[] = {[SKIPPED] = "(not possible)",
		[UNDECIDED] = "(anything)",
		[CRASHED] = "CRASHED",
		[HUNG] = "HUNG"};
	if (r->status != DONE) {
		fprintf(f, "%s", ends[r->status]);
		return;
	}
	fprintf(f, "%lld", (long long)r->ret);
	const char *name = strerrorname_np(r->err);
	if (r->err != UNTOUCHED)
		fprintf(f, "%s%s", r->ret < 0 ? " " : " but errno ", name ? name : "?");
	if (r->n)
		show_values(f, op, r);
}

/* Two executors that crash alike do not agree: that operation has no result. */
bool agree(const struct result *a, const struct result *b)
{
	if (a->status == UNDECIDED || b->status == UNDECIDED)
		return a->status < CRASHED && b->status < CRASHED;
	return a->status == b->status && a->status < CRASHED && a->ret == b->ret &&
	       a->err == b->err && a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0;
}
