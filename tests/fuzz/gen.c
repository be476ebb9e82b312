/* Random sequences. Each depends on (seed, index) alone. */
#include "fuzz.h"

#include <string.h>

enum { SHORTEST = 10 };

uint64_t rnd(struct gen *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)(((rnd(g) >> 32) * n) >> 32);
}

bool chance(struct gen *g, unsigned percent)
{
	return below(g, 100) < percent;
}

uint64_t any_place(struct gen *g)
{
	return chance(g, 96) ? P_BUF : below(g, PLACES);
}

static void add_op(struct gen *g, struct op *op, enum kind_id kind)
{
	memset(op, 0, sizeof(*op));
	op->kind = (uint8_t)kind;
	op->raw = chance(g, 10);
	if (g->kids && chance(g, 45))
		op->proc = (uint8_t)(1 + below(g, PROCS - 1));
	if (op->proc && !(g->kids >> op->proc & 1))
		op->proc = 0;
	if (kinds[kind]->make)
		kinds[kind]->make(g, op);
}

static const enum kind_id not_modelled[] = {K_SOCKETPAIR, K_FILE, K_LSEEK, K_SPLICE};

/* What passes from set to set shows only where little else happens. */
static void stress_sets(struct gen *g)
{
	static const enum kind_id many[] = {K_EP_CTL, K_EP_WAIT, K_MASK_WRITE};
	static const enum kind_id few[] = {K_READ, K_WRITE, K_CLOSE, K_DUP2, K_EP_CREATE};
	for (unsigned i = 0; i < sizeof(many) / sizeof(*many); i++)
		g->weight[many[i]] = 4 * kinds[many[i]]->weight;
	for (unsigned i = 0; i < sizeof(few) / sizeof(*few); i++)
		g->weight[few[i]] = kinds[few[i]]->weight / 2;
}

/* Loops that are left alone for a while, then disturbed by one thing or another. */
static void prefer_loops(struct gen *g)
{
	static const struct {
		enum kind_id kind;
		unsigned weight;
	} loop[] = {{K_EP_WAIT, 60}, {K_WRITE, 40}, {K_READ, 20}, {K_EP_CTL, 20}, {K_EFD_WRITE, 5},
		{K_EFD_READ, 5}};
	static const enum kind_id rare[] = {K_EVENTFD, K_DUP, K_DUP2, K_DUP3, K_DUPFD, K_CLOSE,
		K_POLL, K_SELECT, K_EP_CREATE, K_FORK, K_EXIT, K_PIPE, K_EP_DRAIN};
	memset(g->weight, 0, sizeof(g->weight));
	for (unsigned i = 0; i < sizeof(loop) / sizeof(*loop); i++)
		g->weight[loop[i].kind] = loop[i].weight;
	for (unsigned i = 0; i < sizeof(rare) / sizeof(*rare); i++)
		g->weight[rare[i]] = below(g, 3);
}

/* Every sequence leaves some kinds out and stresses others, to get deeper into what is left. */
static void choose_weights(struct gen *g)
{
	static const unsigned factor[] = {0, 1, 1, 2, 4};
	for (unsigned k = 0; k < KINDS; k++)
		g->weight[k] = kinds[k]->weight * PICK(g, factor);
	static const enum kind_id always[] = {K_EVENTFD, K_READ, K_WRITE};
	for (unsigned i = 0; i < sizeof(always) / sizeof(*always); i++)
		if (!g->weight[always[i]])
			g->weight[always[i]] = kinds[always[i]]->weight;
	for (unsigned i = 0; i < sizeof(not_modelled) / sizeof(*not_modelled) && g->modelled; i++)
		g->weight[not_modelled[i]] = 0;
	if (g->nests)
		stress_sets(g);
	if (g->loops)
		prefer_loops(g);
	if (!g->masks)
		g->weight[K_MASK] = g->weight[K_MASK_WRITE] = 0;
	else if (!g->weight[K_MASK_WRITE])
		g->weight[K_MASK_WRITE] = kinds[K_MASK_WRITE]->weight;
	if (!g->forks)
		g->weight[K_FORK] = g->weight[K_EXIT] = 0;
	if (!g->edges)
		g->weight[K_EP_DRAIN] = 0;
	g->total = 0;
	for (unsigned k = 0; k < KINDS; k++)
		g->total += g->weight[k];
}

static enum kind_id choose_kind(struct gen *g)
{
	unsigned at = below(g, g->total);
	unsigned k = 0;
	while (at >= g->weight[k])
		at -= g->weight[k++];
	if (g->masks && !believes_in(g, MASK) && chance(g, 70))
		return K_MASK;
	if (!g->masks && !believes_in(g, EVENTFD) && chance(g, 70))
		return K_EVENTFD;
	if (k >= K_EP_CTL && k <= K_EP_DRAIN && !believes_in(g, SET) && chance(g, 70))
		return K_EP_CREATE;
	return (enum kind_id)k;
}

/* Something to work on: eventfds, epoll sets, now and then other fds. */
static size_t make_start(struct gen *g, struct op *ops)
{
	size_t n = 0;
	add_op(g, &ops[n++], K_RESET);
	ops[0].proc = ops[0].raw = 0;
	ops[0].arg[0] = g->edges;
	ops[0].arg[1] = g->semaphores;
	ops[0].arg[2] = g->forks;
	ops[0].arg[3] = g->modelled;
	for (unsigned i = 1 + below(g, 3); i; i--)
		add_op(g, &ops[n++], g->masks && chance(g, 75) ? K_MASK : K_EVENTFD);
	if (g->nests || g->loops || chance(g, 70))
		add_op(g, &ops[n++], K_EP_CREATE);
	if (g->nests || chance(g, 30))
		add_op(g, &ops[n++], K_EP_CREATE);
	for (unsigned i = below(g, g->nests ? 8 : 4); i && believes_in(g, SET); i--)
		add_op(g, &ops[n++], K_EP_CTL);
	if (chance(g, 20))
		add_op(g, &ops[n++], K_PIPE);
	if (!g->modelled && chance(g, 20))
		add_op(g, &ops[n++], K_SOCKETPAIR);
	return n;
}

size_t make_sequence(uint64_t seed, uint64_t index, unsigned length, struct mix mix, struct op *ops)
{
	struct gen g = {.state = seed};
	believe_nothing(&g);
	g.state = rnd(&g) ^ index * 0xd1342543de82ef95;
	unsigned size = length <= SHORTEST ? length : SHORTEST + below(&g, length - SHORTEST + 1);
	g.edges = chance(&g, 30);
	g.forks = chance(&g, 20);
	g.semaphores = chance(&g, 60);
	g.modelled = chance(&g, mix.modelled);
	g.masks = g.modelled && mix.masks;
	g.nests = g.modelled && chance(&g, 30);
	g.loops = !g.modelled && chance(&g, mix.loops);
	g.few = (g.modelled || g.loops) && chance(&g, 50);
	g.forks |= g.masks && chance(&g, 20);
	choose_weights(&g);
	size_t n = make_start(&g, ops);
	while (n < size + 1)
		add_op(&g, &ops[n++], choose_kind(&g));
	return n;
}
