#include "spoil.h"
#include "prog.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The layout as far as it matters here: a head of one page, whose words that lead to free items
 * begin at 32, then a bit for each of a million items, then items of 128 bytes, which begin with
 * their owner. Where it is another one by now, these are just other words to spoil. */
enum {
	HEAD = 4096,
	MARKS = (1 << 20) / 8,
	ITEM = 128,
	FREE_WORDS = 32,
	NEXT_RECORD = 4,
	FIRST_RECORD = 44,
	HEAD_WORDS = 12,
	ITEMS = 100
};

static uint32_t pick(struct spoiler *spoiler, uint32_t below)
{
	spoiler->chance = spoiler->chance * 1664525u + 1013904223u;
	return (spoiler->chance >> 8) % below;
}

static void put(int fd, off_t at, const void *bytes, size_t n)
{
	require(pwrite(fd, bytes, n, at) == (ssize_t)n, "pwrite");
}

static void put_word(int fd, off_t at, uint32_t word)
{
	put(fd, at, &word, sizeof(word));
}

static off_t item(uint32_t index)
{
	return HEAD + MARKS + (off_t)ITEM * index;
}

/* Mostly; now and then one of the words of bits. */
static off_t some_item(struct spoiler *spoiler)
{
	return pick(spoiler, 8) ? item(pick(spoiler, ITEMS)) : HEAD;
}

static void noise(struct spoiler *spoiler, int fd)
{
	for (int i = 0; i < 8; i++) {
		unsigned char byte = (unsigned char)pick(spoiler, 256);

		put(fd, some_item(spoiler) + pick(spoiler, ITEM), &byte, 1);
	}
}

static void head_noise(struct spoiler *spoiler, int fd)
{
	unsigned char byte = (unsigned char)pick(spoiler, 256);

	put(fd, pick(spoiler, 4 * HEAD_WORDS), &byte, 1);
}

static void bits(struct spoiler *spoiler, int fd)
{
	off_t at = some_item(spoiler) + pick(spoiler, ITEM);
	unsigned char byte;

	if (pread(fd, &byte, 1, at) != 1)
		return;
	byte ^= (unsigned char)(1u << pick(spoiler, 8));
	put(fd, at, &byte, 1);
}

static uint32_t absurd(struct spoiler *spoiler)
{
	static const uint32_t values[] = {0, 1, 2, 3, 511, 512, 513, 0xfffff, 0x100000, 0x100001,
		0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x0100007f, 0x02000000};

	return values[pick(spoiler, sizeof(values) / sizeof(*values))];
}

static void words(struct spoiler *spoiler, int fd)
{
	put_word(fd, some_item(spoiler) + 4 * (off_t)pick(spoiler, ITEM / 4), absurd(spoiler));
}

static void head_words(struct spoiler *spoiler, int fd)
{
	put_word(fd, 4 * (off_t)pick(spoiler, HEAD_WORDS), absurd(spoiler));
}

/* Magic, version, sizes and tag. */
static void identity(struct spoiler *spoiler, int fd)
{
	put_word(fd, 4 * (off_t)pick(spoiler, 6), absurd(spoiler));
}

static void self_links(struct spoiler *spoiler, int fd)
{
	for (uint32_t i = 1; i < ITEMS; i++)
		put_word(fd, item(i), i);
	put_word(fd, FREE_WORDS, 1 + pick(spoiler, ITEMS));
}

static void cycles(struct spoiler *spoiler, int fd)
{
	for (uint32_t i = 1; i < ITEMS; i++)
		put_word(fd, item(i), 1 + pick(spoiler, ITEMS - 1));
	put_word(fd, FREE_WORDS, 1 + pick(spoiler, ITEMS));
}

/* Of the records of an object's watches. */
static void record_cycles(struct spoiler *spoiler, int fd)
{
	for (uint32_t i = 1; i < ITEMS; i++)
		put_word(fd, item(i) + NEXT_RECORD, 1 + pick(spoiler, ITEMS - 1));
}

/* Objects whose watches are somebody else's, or none. */
static void record_heads(struct spoiler *spoiler, int fd)
{
	for (uint32_t i = 1; i < ITEMS; i++)
		put_word(fd, item(i) + FIRST_RECORD, pick(spoiler, ITEMS));
}

static void truncate_it(struct spoiler *spoiler, int fd)
{
	static const off_t sizes[] = {0, 1, 20, 40, 4095, 4096, 4097, 4224, 6000, 8192, 20000,
		69632, HEAD + MARKS, HEAD + MARKS + ITEM, HEAD + MARKS + 5000};

	require(!ftruncate(fd, sizes[pick(spoiler, sizeof(sizes) / sizeof(*sizes))]), "ftruncate");
}

/* And back to a size that holds what it is said to hold, with nothing in it. */
static void hollow(struct spoiler *spoiler, int fd)
{
	struct stat st;

	require(!fstat(fd, &st), "fstat");
	truncate_it(spoiler, fd);
	require(!ftruncate(fd, st.st_size), "ftruncate");
}

static void longer(struct spoiler *spoiler, int fd)
{
	struct stat st;

	require(!fstat(fd, &st), "fstat");
	require(!ftruncate(fd, st.st_size + (off_t)pick(spoiler, 1 << 22)), "ftruncate");
}

static void gone(struct spoiler *spoiler, int fd)
{
	(void)fd;
	unlink(spoiler->path);
}

static void nothing(struct spoiler *spoiler, int fd)
{
	(void)spoiler;
	(void)fd;
}

static const struct {
	const char *name;
	void (*once)(struct spoiler *spoiler, int fd);
} modes[] = {
	{"nothing", nothing},
	{"noise", noise},
	{"head-noise", head_noise},
	{"bits", bits},
	{"words", words},
	{"head-words", head_words},
	{"identity", identity},
	{"self-links", self_links},
	{"cycles", cycles},
	{"record-cycles", record_cycles},
	{"record-heads", record_heads},
	{"truncate", truncate_it},
	{"hollow", hollow},
	{"longer", longer},
	{"gone", gone},
};

struct spoiler spoiler_of(const char *mode, const char *directory, const char *file, uint32_t seed)
{
	struct spoiler spoiler = {.chance = seed};

	snprintf(spoiler.path, sizeof(spoiler.path), "%s/%s", directory, file);
	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (!strcmp(modes[i].name, mode))
			spoiler.once = modes[i].once;
	}
	require(spoiler.once, "no such mode");
	return spoiler;
}

void spoil(struct spoiler *spoiler)
{
	int fd = open(spoiler->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	spoiler->once(spoiler, fd);
	close(fd);
}
