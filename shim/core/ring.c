#include "core/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "core/config.h"
#include "core/usermem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ikernel is the word's low half");
_Static_assert(offsetof(struct asyncfd_uring, ikernel) == 16, "ikernel and reserved are one word");
_Static_assert(offsetof(struct asyncfd_uring, reserved) == 20, "ikernel and reserved are one word");

/* The program knows it as two numbers. */
typedef uint64_t __attribute__((may_alias)) shared_word;

/* What producers share. Places from ikernel up to the one that is reserved next have a producer
 * each, or had one and are written. `reserved` is a running number of which that place is the
 * remainder by the size: it also counts laps, so that a producer that was stopped in between does
 * not take a later lap's word for the one it has seen. */
struct word {
	uint32_t ikernel;
	uint32_t reserved;
};

static bool storable(void *address, size_t n)
{
	return config.strict ? usermem_ask(address, n, USERMEM_STORE)
			     : usermem_storable(address, n);
}

static struct word load_word(const struct asyncfd_uring *head)
{
	uint64_t both = __atomic_load_n((const shared_word *)&head->ikernel, __ATOMIC_SEQ_CST);

	return (struct word){(uint32_t)both, (uint32_t)(both >> 32)};
}

static uint64_t packed(struct word word)
{
	return (uint64_t)word.reserved << 32 | word.ikernel;
}

/* Else *before is what it is. */
static bool swap_word(struct asyncfd_uring *head, struct word *before, struct word after)
{
	uint64_t expected = packed(*before);

	if (__atomic_compare_exchange_n((shared_word *)&head->ikernel, &expected, packed(after),
		    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	*before = (struct word){(uint32_t)expected, (uint32_t)(expected >> 32)};
	return false;
}

/* Where the running number begins again: the most laps that fit. */
static uint64_t turn(const struct ring *ring)
{
	const uint64_t numbers = 1ull << 32;

	if (!(ring->size & (ring->size - 1)))
		return numbers;
	return numbers - numbers % ring->size;
}

static uint32_t place_after(const struct ring *ring, uint32_t place)
{
	return place + 1 == ring->size ? 0 : place + 1;
}

/* Mostly without a division. */
static uint32_t place_of(const struct ring *ring, uint32_t reserved)
{
	if (!(ring->size & (ring->size - 1)))
		return reserved & (ring->size - 1);
	return reserved % ring->size;
}

/* Places that have been reserved and are not published. */
static uint32_t pending(const struct ring *ring, struct word word)
{
	uint32_t end = place_of(ring, word.reserved);

	return end >= word.ikernel ? end - word.ikernel : end + (ring->size - word.ikernel);
}

static bool is_sound(const struct ring *ring, struct word word)
{
	return word.ikernel < ring->size && word.reserved < turn(ring);
}

int ring_check(struct asyncfd_uring *head)
{
	const uintptr_t misfit = _Alignof(struct asyncfd_result) - 1;

	if ((uintptr_t)head & misfit)
		return EINVAL;
	if (!usermem_ask(head, sizeof(*head), USERMEM_STORE))
		return EFAULT;
	if (head->size < 2 || head->ikernel >= head->size || (head->ptr & misfit))
		return EINVAL;
	if (!head->ptr || head->ptr > UINTPTR_MAX)
		return EFAULT;
	return usermem_ask((void *)(uintptr_t)head->ptr, head->size * sizeof(struct asyncfd_result),
		       USERMEM_STORE)
		       ? 0
		       : EFAULT;
}

void ring_start(struct asyncfd_uring *head)
{
	struct word before = load_word(head);

	while (!swap_word(head, &before, (struct word){before.ikernel, before.ikernel}))
		;
}

int ring_look(struct asyncfd_uring *head, struct ring *ring)
{
	if (!head || !storable(head, sizeof(*head)))
		return EFAULT;
	*ring = (struct ring){
		.head = head,
		.places = (struct asyncfd_result *)(uintptr_t)__atomic_load_n(
			&head->ptr, __ATOMIC_RELAXED),
		.size = __atomic_load_n(&head->size, __ATOMIC_RELAXED),
	};
	if (!ring->places || ring->size < 2 || load_word(head).ikernel >= ring->size)
		return EFAULT;
	return 0;
}

/* Within one call each page is verified once. */
static struct asyncfd_result *place_at(struct ring *ring, uint32_t index)
{
	struct asyncfd_result *place = ring->places + index;
	uintptr_t last = (uintptr_t)(place + 1) - 1;

	if (((uintptr_t)place >> USERMEM_PAGE_BITS) + 1 == ring->known &&
		(last >> USERMEM_PAGE_BITS) + 1 == ring->known)
		return place;
	if (!storable(place, sizeof(*place)))
		return NULL;
	ring->known = (last >> USERMEM_PAGE_BITS) + 1;
	return place;
}

void ring_abandon(struct ring *ring)
{
	struct word word = load_word(ring->head);
	uint32_t place = word.ikernel;

	for (uint32_t left = pending(ring, word); left; left--) {
		struct asyncfd_result *at = place_at(ring, place);

		if (at)
			__atomic_store_n(&at->cookie, 0, __ATOMIC_RELAXED);
		place = place_after(ring, place);
	}
	ring_start(ring->head);
}

/* A consumer may move it to the size before it wraps it around. */
static uint32_t load_iuser(const struct ring *ring)
{
	uint32_t iuser = __atomic_load_n(&ring->head->iuser, __ATOMIC_ACQUIRE);

	return iuser < ring->size ? iuser : iuser % ring->size;
}

bool ring_holds(const struct ring *ring)
{
	return load_word(ring->head).ikernel != load_iuser(ring);
}

bool ring_has_room(const struct ring *ring)
{
	struct word word = load_word(ring->head);

	return is_sound(ring, word) &&
	       place_after(ring, place_of(ring, word.reserved)) != load_iuser(ring);
}

bool ring_readable(struct ring *ring)
{
	return place_at(ring, load_iuser(ring)) != NULL;
}

/* How many places from the reserved one on are free, up to n. The one before iuser stays so. A
 * place is the consumer's until the cookie is cleared; places that are pending have none either,
 * which a ring whose iuser is garbage must not be given twice. */
static int count_free(struct ring *ring, struct word word, uint32_t n)
{
	uint32_t place = place_of(ring, word.reserved), iuser = load_iuser(ring);
	uint32_t room = ring->size - 1 - pending(ring, word), free = 0;

	for (; free < n && free < room; free++) {
		const struct asyncfd_result *at;
		uint32_t after = place_after(ring, place);

		if (after == iuser)
			break;
		at = place_at(ring, place);
		if (!at)
			return free ? (int)free : -EFAULT;
		if (__atomic_load_n(&at->cookie, __ATOMIC_ACQUIRE))
			break;
		place = after;
	}
	return (int)free;
}

int ring_reserve(struct ring *ring, uint32_t n, uint32_t *first)
{
	struct word word = load_word(ring->head), after;
	uint64_t end;
	int count;

	do {
		if (!is_sound(ring, word))
			return -EFAULT;
		count = count_free(ring, word, n);
		if (count < 0)
			return count;
		end = (uint64_t)word.reserved + (uint32_t)count;
		if (end >= turn(ring))
			end -= turn(ring);
		after = (struct word){word.ikernel, (uint32_t)end};
		/* also where no place was free: others may have taken those that were looked at */
	} while (!swap_word(ring->head, &word, after));
	*first = place_of(ring, word.reserved);
	return count;
}

/* The cookie last: it says that the place is written. One that has become 0 since it was looked at
 * would keep the place from ever being published. */
static void write_place(struct asyncfd_result *place, const struct asyncfd_result *result)
{
	uint64_t cookie = __atomic_load_n(&result->cookie, __ATOMIC_RELAXED);

	place->obj = result->obj;
	place->res = result->res;
	place->res2 = result->res2;
	__atomic_store_n(&place->cookie, cookie ? cookie : 1, __ATOMIC_RELEASE);
}

void ring_write(struct ring *ring, uint32_t first, const struct asyncfd_result *results, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		write_place(ring->places + first, &results[i]);
		first = place_after(ring, first);
	}
}

/* How many of the pending places are written, from the first one on. */
static uint32_t count_written(struct ring *ring, struct word word)
{
	uint32_t place = word.ikernel, end = pending(ring, word), written = 0;

	for (; written < end; written++) {
		const struct asyncfd_result *at = place_at(ring, place);

		if (!at || !__atomic_load_n(&at->cookie, __ATOMIC_ACQUIRE))
			break;
		place = place_after(ring, place);
	}
	return written;
}

/* Of two producers with places side by side each writes before it looks: at least one finds both
 * written. Who finds its own behind one that is not leaves them to that one's producer. */
void ring_publish(struct ring *ring)
{
	struct word word, after;
	uint64_t end;

	atomic_thread_fence(memory_order_seq_cst);
	word = load_word(ring->head);
	do {
		if (!is_sound(ring, word))
			return;
		end = (uint64_t)word.ikernel + count_written(ring, word);
		if (end >= ring->size)
			end -= ring->size;
		after = (struct word){(uint32_t)end, word.reserved};
		/* also where none was found written: it may have been published and taken meanwhile
		 */
	} while (!swap_word(ring->head, &word, after));
}

int ring_add(struct ring *ring, const struct asyncfd_result *results, uint32_t n)
{
	uint32_t first;
	int count = ring_reserve(ring, n, &first);

	if (count <= 0)
		return count;
	ring_write(ring, first, results, (uint32_t)count);
	ring_publish(ring);
	return count;
}
