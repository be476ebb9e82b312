#include "core/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/crash.h"
#include "core/poolfile.h"
#include "core/process.h"
#include "core/store.h"
#include "sys/passing.h"
#include "sys/raw.h"
#include "sys/sparse.h"

enum { CHUNK_BYTES = 65536, WORD_BITS = 64 };

static uint64_t inode_of(int fd)
{
	struct stat st;

	return raw_syscall3(SYS_fstat, fd, (long)&st, 0) ? 0 : st.st_ino;
}

static void raise_to(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen = atomic_load(word);

	while (seen < value && !atomic_compare_exchange_weak(word, &seen, value))
		;
}

static long map_file(struct pool *pool, int fd)
{
	struct pool_head head;
	long map;

	if (!poolfile_read(fd, &head)) /* spoilt since it was verified */
		return -EAGAIN;
	map = sparse_map((size_t)poolfile_offset(pool, pool->items), fd);
	if (map < 0 && map > -4096)
		return map;
	atomic_store(&pool->inode, inode_of(fd));
	atomic_store(&pool->tag, head.tag);
	raise_to(&pool->backed, poolfile_backed(pool, fd, head.ready));
	return map;
}

int pool_open(struct pool *pool)
{
	struct pool_head *none = NULL;
	int fd;
	long map;

	if (atomic_load(&pool->head))
		return 0;
	fd = poolfile_open(pool);
	if (fd < 0)
		return -fd;
	map = map_file(pool, fd);
	passing_close(fd);
	if (map < 0 && map > -4096)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&pool->head, &none, (struct pool_head *)map))
		raw_syscall3(SYS_munmap, map, (long)(size_t)poolfile_offset(pool, pool->items), 0);
	return 0;
}

/* The pool's file, if it is the one that is mapped: another process may have set it aside, and made
 * one anew. An fd or -errno. */
static int open_mapped(const struct pool *pool)
{
	int fd = store_open_file(pool->name, O_RDWR, 0);

	if (fd < 0 || inode_of(fd) == atomic_load(&pool->inode))
		return fd;
	passing_close(fd);
	return -ESTALE;
}

/* The head says that there are more items than this process knows of. Where it lies it is put
 * right, as far as the file can be looked at. */
static void look_for_more(struct pool *pool, struct pool_head *head, uint32_t ready)
{
	int fd = open_mapped(pool);
	uint32_t found;

	if (fd == -EMFILE || fd == -ENFILE)
		return;
	found = fd < 0 ? 0 : poolfile_backed(pool, fd, ready);
	if (fd >= 0)
		passing_close(fd);
	raise_to(&pool->backed, found);
	if (found >= ready)
		return;
	atomic_store(&pool->refused, ready);
	if (found)
		atomic_compare_exchange_strong(&head->ready, &ready, found);
}

/* Whether the head says, and may say rightly, that there are more items than are known. */
static bool more_there(struct pool *pool, struct pool_head *head)
{
	uint32_t ready = atomic_load(&head->ready);

	return ready > atomic_load(&pool->backed) && ready != atomic_load(&pool->refused);
}

/* One above the highest item that may be touched; at least `wanted`, if there are so many. */
static uint32_t backed_up_to(struct pool *pool, struct pool_head *head, uint32_t wanted)
{
	if (wanted > atomic_load_explicit(&pool->backed, memory_order_acquire) &&
		more_there(pool, head))
		look_for_more(pool, head, atomic_load(&head->ready));
	return atomic_load_explicit(&pool->backed, memory_order_acquire);
}

static void *item_at(const struct pool *pool, struct pool_head *head, uint32_t index)
{
	return (char *)head + poolfile_offset(pool, index);
}

void *pool_base(const struct pool *pool)
{
	return item_at(pool, atomic_load(&pool->head), 0);
}

void *pool_item(struct pool *pool, uint32_t index)
{
	struct pool_head *head = atomic_load_explicit(&pool->head, memory_order_acquire);

	if (!head || !index || index >= pool->items || index >= backed_up_to(pool, head, index + 1))
		return NULL;
	return item_at(pool, head, index);
}

/* Gives storage to [ready, ready + more), and to the words that hold their bits. */
static int reserve_items(const struct pool *pool, int fd, uint32_t ready, uint32_t more)
{
	off_t marks = HEAD_BYTES + ready / 8;
	int err = poolfile_reserve(fd, marks & ~(off_t)(MARKS_PAGE - 1), marks + more / 8 + 1);

	if (err)
		return err;
	return poolfile_reserve(
		fd, poolfile_offset(pool, ready), poolfile_offset(pool, ready + more));
}

/* Reserves the next chunk. Several processes may reserve the same one: that is harmless. */
static int grow(struct pool *pool, struct pool_head *head, uint32_t from)
{
	uint32_t more = CHUNK_BYTES / pool->item_size;
	int fd, err;

	if (from >= pool->items)
		return ENOSPC;
	if (more > pool->items - from)
		more = pool->items - from;
	fd = open_mapped(pool);
	if (fd < 0)
		return -fd;
	err = reserve_items(pool, fd, from, more);
	passing_close(fd);
	if (err)
		return err;
	raise_to(&pool->backed, from + more);
	raise_to(&head->ready, from + more);
	return 0;
}

static _Atomic uint64_t *marks_of(struct pool_head *head)
{
	return (_Atomic uint64_t *)(void *)((char *)head + HEAD_BYTES);
}

/* How many words of bits there are. */
static uint32_t mark_words(struct pool *pool, struct pool_head *head)
{
	return (backed_up_to(pool, head, atomic_load(&head->ready)) + WORD_BITS - 1) / WORD_BITS;
}

/* The item is this process's, if nobody else claimed it: its owner says so, not its bit. */
static bool claim(struct pool *pool, uint32_t index)
{
	_Atomic uint32_t *owner = pool_item(pool, index);
	uint32_t nobody = 0;

	return owner && atomic_compare_exchange_strong(owner, &nobody, process_mark());
}

/* A free item of one word; 0 where it has none. */
static uint32_t take_of_word(struct pool *pool, struct pool_head *head, uint32_t number)
{
	_Atomic uint64_t *word = marks_of(head) + number;
	uint64_t bits;

	while ((bits = atomic_load(word))) {
		uint64_t lowest = bits & -bits;
		uint32_t index = number * WORD_BITS + (uint32_t)__builtin_ctzll(bits);

		if (!(atomic_fetch_and(word, ~lowest) & lowest))
			continue;
		CRASH_POINT("pool.unmarked");
		if (claim(pool, index))
			return index;
	}
	return 0;
}

static void summarize(struct pool_head *head, uint32_t number)
{
	atomic_fetch_or(&head->summary[number / WORD_BITS], 1ull << number % WORD_BITS);
}

/* A free item that was given back; 0 where there is none. */
static uint32_t take_marked(struct pool *pool, struct pool_head *head)
{
	uint32_t words = mark_words(pool, head);

	for (uint32_t i = 0; i * WORD_BITS < words; i++) {
		uint64_t bits = atomic_load(&head->summary[i]);

		for (; bits; bits &= bits - 1) {
			uint32_t number = i * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
			uint32_t index = number < words ? take_of_word(pool, head, number) : 0;

			if (index)
				return index;
			atomic_fetch_and(&head->summary[i], ~(bits & -bits));
			if (number < words && atomic_load(marks_of(head) + number))
				summarize(head, number);
		}
	}
	return 0;
}

bool pool_has_free(struct pool *pool)
{
	struct pool_head *head = atomic_load(&pool->head);
	uint32_t words = head ? mark_words(pool, head) : 0;

	for (uint32_t i = 0; i * WORD_BITS < words; i++) {
		uint64_t bits = atomic_load(&head->summary[i]);

		for (; bits; bits &= bits - 1) {
			uint32_t number = i * WORD_BITS + (uint32_t)__builtin_ctzll(bits);

			if (number < words && atomic_load(marks_of(head) + number))
				return true;
		}
	}
	return false;
}

/* An item that nobody had before; 0 with *err set. Where `used` was spoilt it leads over items that
 * somebody has, which their owner words keep. */
static uint32_t take_fresh(struct pool *pool, struct pool_head *head, int *err)
{
	for (uint32_t tries = 0; !*err && tries < pool->items; tries++) {
		uint32_t used = atomic_load(&head->used);
		uint32_t backed =
			backed_up_to(pool, head, used < pool->items ? used + 1 : pool->items);

		if (used > backed && backed && !more_there(pool, head)) {
			atomic_compare_exchange_strong(&head->used, &used, backed);
		} else if (used >= backed) {
			*err = grow(pool, head, backed);
		} else if (atomic_compare_exchange_strong(&head->used, &used, used + 1)) {
			CRASH_POINT("pool.used");
			if (claim(pool, used))
				return used;
		}
	}
	if (!*err)
		*err = ENOSPC;
	return 0;
}

uint32_t pool_take(struct pool *pool, int *err)
{
	struct pool_head *head = atomic_load(&pool->head);
	uint32_t index = head ? take_marked(pool, head) : 0;

	*err = head ? 0 : ENOMEM;
	return index || !head ? index : take_fresh(pool, head, err);
}

static void mark_free(struct pool_head *head, uint32_t index)
{
	atomic_fetch_or(marks_of(head) + index / WORD_BITS, 1ull << index % WORD_BITS);
	CRASH_POINT("pool.marked");
	summarize(head, index / WORD_BITS);
}

void pool_give(struct pool *pool, uint32_t index)
{
	_Atomic uint32_t *owner = pool_item(pool, index);

	if (!owner)
		return;
	atomic_store(owner, 0);
	CRASH_POINT("pool.disowned");
	mark_free(atomic_load(&pool->head), index);
}

void pool_mend(struct pool *pool)
{
	struct pool_head *head = atomic_load(&pool->head);

	for (uint32_t i = 1; i < pool_used(pool); i++) {
		_Atomic uint32_t *owner = pool_item(pool, i);

		if (owner && !atomic_load(owner))
			mark_free(head, i);
	}
}

bool pool_inherit(struct pool *pool, uint32_t index)
{
	_Atomic uint32_t *owner = pool_item(pool, index);
	uint32_t dead = owner ? atomic_load(owner) : 0;

	return dead && process_mark_dead(dead) &&
	       atomic_compare_exchange_strong(owner, &dead, process_mark());
}

uint32_t pool_used(struct pool *pool)
{
	struct pool_head *head = atomic_load(&pool->head);
	uint32_t used = head ? atomic_load(&head->used) : 0;
	uint32_t backed;

	if (used <= 1)
		return used;
	backed = backed_up_to(pool, head, used);
	return used < backed ? used : backed;
}

uint32_t pool_tag(const struct pool *pool)
{
	return atomic_load(&pool->tag);
}

_Atomic uint64_t *pool_words(const struct pool *pool)
{
	return atomic_load(&pool->head)->words;
}
